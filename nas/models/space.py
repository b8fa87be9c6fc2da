"""The named models as a space, so they are built and loaded like candidates."""

import inspect

import torch
from torch import Tensor, nn

from nas.core.registry import BUILT_IN, create
from search_spaces.architecture import Architecture
from search_spaces.decisions import Decisions
from search_spaces.output import Output
from search_spaces.seeding import drawn_from
from search_spaces.space import ModelShape, Space

FOUND_AS = "nas.models.space:NamedModels"


class NamedModels(Space):
    """A space whose architectures are model names. The task decides only inputs and classes."""

    name = "named-models"

    def decide(self, decisions: Decisions) -> Architecture:
        return Architecture(self.name, (decisions.choose("model", tuple(BUILT_IN["models"])),))

    def build(
        self, architecture: Architecture, shape: ModelShape, generator: torch.Generator
    ) -> nn.Module:
        """Build the model, wrapped so that it returns an `Output`."""
        (name,) = architecture.spec  # type: ignore[misc]
        options = {"classes": shape.data.outputs, "channels": shape.data.inputs}
        with drawn_from(generator):
            return Answering(create("models", str(name), options))


class Answering(nn.Module):
    """Wraps a network so that it takes inputs and lengths and returns an `Output`."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.takes_lengths = "lengths" in inspect.signature(network.forward).parameters

    def forward(self, inputs: Tensor, state: None = None, lengths: Tensor | None = None) -> Output:
        read = (inputs, lengths) if self.takes_lengths else (inputs,)
        answers = self.network(*read)
        return Output(answers, None, answers.new_zeros(()))
