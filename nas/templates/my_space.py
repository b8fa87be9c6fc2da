"""A search space of your own: networks of convolutions along time."""

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from search_spaces.architecture import Architecture
from search_spaces.decisions import Decisions
from search_spaces.output import Output
from search_spaces.seeding import drawn_from
from search_spaces.space import ModelShape, Space


class Convolutions(Space):
    """One to three convolutions with their widths, kernel sizes and one activation."""

    name = "convolutions"

    def decide(self, decisions: Decisions) -> Architecture:
        """Ask the questions; every controller answers them in its own way.

        The answers must be all that the architecture depends on. Ask for each name once.
        """
        depth = decisions.integer("depth", 1, 3)
        layers = tuple(
            (
                decisions.choose(f"layer_{i}/width", (4, 8, 16)),
                decisions.choose(f"layer_{i}/kernel", (3, 5, 9)),
            )
            for i in range(depth)
        )
        activation = decisions.choose("activation", ("relu", "tanh"))
        return Architecture(self.name, (activation, layers))

    def build(
        self, architecture: Architecture, shape: ModelShape, generator: torch.Generator
    ) -> nn.Module:
        """Build the network that the answers describe, with weights from the generator."""
        spec: Any = architecture.spec  # what `decide` gave to the architecture
        activation, layers = spec
        with drawn_from(generator):
            return Network(activation, layers, shape.data.inputs, shape.data.outputs)


class Network(nn.Module):
    """Convolutions, the mean over time, and a linear layer."""

    def __init__(self, activation: str, layers: tuple, inputs: int, outputs: int) -> None:
        super().__init__()
        widths = [inputs, *(width for width, _ in layers)]
        parts: list[nn.Module] = []
        for (before, after), (_, kernel) in zip(pairwise(widths), layers, strict=True):
            parts.append(nn.Conv1d(before, after, kernel, padding=kernel // 2))
            parts.append(nn.ReLU() if activation == "relu" else nn.Tanh())
        self.convolutions = nn.Sequential(*parts)
        self.linear = nn.Linear(widths[-1], outputs)

    def forward(self, inputs: Tensor, state=None, lengths=None) -> Output:
        """inputs: `[B, T, features]`. Returns answers `[B, outputs]`."""
        found = self.convolutions(inputs.transpose(1, 2))  # [B, width, T]
        answers = self.linear(found.mean(dim=2))
        return Output(answers, None, answers.new_zeros(()))
