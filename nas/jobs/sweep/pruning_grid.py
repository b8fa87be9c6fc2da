"""The search space of a sweep, whose architectures are the rows of its table."""

from dataclasses import dataclass

import torch
from torch import nn

from compress.names import CHANNELS
from nas.jobs.sweep.rows import Pruning
from nas.models.source import ModelSource
from search_spaces.architecture import Architecture
from search_spaces.decisions import Decisions, InvalidArchitecture
from search_spaces.space import ModelShape, Space


@dataclass(frozen=True)
class PruningGrid(Space):
    """A space whose decisions are the columns of a sweep's table."""

    source: ModelSource
    methods: tuple[str, ...]
    what: tuple[str, ...]
    ap: tuple[float, ...]
    levels: tuple[float, ...]
    seeds: int

    name = "pruning"

    def decide(self, decisions: Decisions) -> Architecture:
        method = decisions.choose("method", self.methods)
        what = decisions.choose("what", self.what)
        ap = decisions.choose("ap", self.ap)
        level = decisions.choose("level", self.levels)
        seed = decisions.integer("seed", 0, self.seeds - 1)
        if what == CHANNELS and (method != "magnitude" or ap):
            raise InvalidArchitecture("channels need the method magnitude and ap 0")
        if ap > level:
            raise InvalidArchitecture(f"ap {ap} must not exceed the level {level}")
        return Architecture(self.name, Pruning(method, what, ap, level, seed))

    def build(
        self, architecture: Architecture, shape: ModelShape, generator: torch.Generator
    ) -> nn.Module:
        """Build the network before pruning."""
        return self.source.build(generator.initial_seed())
