"""The space of static chains: one order of calls for all inputs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from torch import nn

from search_spaces.architecture import Architecture
from search_spaces.decisions import Decisions
from search_spaces.layer_chain.chain import Chain, Rules
from search_spaces.space import ModelShape, Space


@dataclass(frozen=True)
class LayerChainSpace(Space):
    """rules: of the chains. make: the decoder that calls its layers as a chain says."""

    rules: Rules
    make: Callable[[Chain], nn.Module]

    name = "layer-chain"

    def decide(self, decisions: Decisions) -> Architecture:
        """An architecture's spec is the chain."""
        return Architecture(self.name, self.rules.decide(decisions))

    def build(
        self, architecture: Architecture, shape: ModelShape, generator: torch.Generator
    ) -> nn.Module:
        """The decoder with its own trained weights; its shape is its own."""
        return self.make(cast(Chain, architecture.spec))
