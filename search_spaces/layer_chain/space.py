"""The space of static chains, which use the same order of calls for all inputs."""

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
    """rules: which chains exist. make: builds the decoder that calls its layers in chain order."""

    rules: Rules
    make: Callable[[Chain], nn.Module]

    name = "layer-chain"

    def decide(self, decisions: Decisions) -> Architecture:
        """Return an architecture whose spec is the chain."""
        return Architecture(self.name, self.rules.decide(decisions))

    def build(
        self, architecture: Architecture, shape: ModelShape, generator: torch.Generator
    ) -> nn.Module:
        """Return the decoder with its trained weights; it ignores `shape`."""
        return self.make(cast(Chain, architecture.spec))
