"""A user's own space, task and scores, small enough for tests of everything round them."""

import os
import signal
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import nn

from compress.outline import outline_of
from compress.student import student
from nas.models.recurrent_classifier import RecurrentClassifier
from nas.models.space import Answering
from nas.tasks.task import Batch, Measured, cross_entropy, mean_cross_entropy, tensor
from search_spaces.architecture import Architecture
from search_spaces.decisions import Decisions
from search_spaces.layer_chain.chain import Chain, Rules
from search_spaces.layer_chain.space import LayerChainSpace
from search_spaces.layer_removal.space import LayerRemovalSpace, student_of
from search_spaces.rnn_cell.model import Output
from search_spaces.space import DataShape, ModelShape


class Perceptrons:
    """Perceptrons of one to three hidden layers: 3 + 9 + 27 = 39 architectures."""

    name = "perceptrons"

    def decide(self, decisions: Decisions) -> Architecture:
        layers = decisions.integer("layers", 1, 3)
        widths = tuple(decisions.choose(f"layer_{i}/width", (4, 8, 16)) for i in range(layers))
        return Architecture(self.name, widths)

    def build(
        self, architecture: Architecture, shape: ModelShape, generator: torch.Generator
    ) -> nn.Module:
        return Perceptron(architecture.spec, shape.data, generator)


class Perceptron(nn.Module):
    def __init__(self, widths, data: DataShape, generator: torch.Generator) -> None:
        super().__init__()
        sizes = [data.inputs, *widths, data.outputs]
        layers = []
        for i, o in pairwise(sizes):
            layers += [nn.Linear(i, o), nn.Tanh()]
        self.stack = nn.Sequential(*layers[:-1])
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -0.5, 0.5, generator=generator)

    def forward(self, inputs, state=None, lengths=None) -> Output:
        answers = self.stack(inputs.mean(dim=1))
        return Output(answers, None, answers.new_zeros(()))


def students_of_a_gru() -> LayerRemovalSpace:
    """What is left of two recurrent layers over 3 features, with weights of its own."""
    teacher, example = (
        RecurrentClassifier(nn.GRU(3, 10, 2, batch_first=True), 2),
        torch.zeros(2, 6, 3),
    )

    def make(architecture: Architecture, generator: torch.Generator) -> nn.Module:
        removed, widths = student_of(architecture)
        return Answering(student(teacher, example, removed, dict(widths), generator))

    return LayerRemovalSpace(outline_of(teacher, example), make)


class ResidualChain(nn.Module):
    """Calls residual layers in the order of a chain, then answers from the mean over time."""

    def __init__(self, chain: Chain) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.chain = chain
        self.layers = nn.ModuleList(nn.Linear(3, 3) for _ in range(4))
        self.head = nn.Linear(3, 2)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -0.5, 0.5, generator=generator)

    def forward(self, inputs, state=None, lengths=None) -> Output:
        for layer in self.chain:
            inputs = inputs + self.layers[layer](inputs).tanh()
        answers = self.head(inputs.mean(dim=1))
        return Output(answers, None, answers.new_zeros(()))


def chains_of_a_stack() -> LayerChainSpace:
    """Chains over four residual layers."""
    return LayerChainSpace(Rules(4), ResidualChain)


class DeeperPerceptrons(Perceptrons):
    """The same decisions, with more layers."""

    name = "deeper-perceptrons"

    def decide(self, decisions: Decisions) -> Architecture:
        layers = decisions.integer("layers", 1, 5)
        widths = tuple(decisions.choose(f"layer_{i}/width", (4, 8, 16)) for i in range(layers))
        return Architecture(self.name, widths)


class ExplodingPerceptrons(Perceptrons):
    """Those of three layers answer NaN, those of two cannot be built."""

    name = "exploding-perceptrons"

    def build(self, architecture, shape, generator):
        if len(architecture.spec) == 2:
            raise RuntimeError("two layers are one too many")
        model = super().build(architecture, shape, generator)
        if len(architecture.spec) == 3:
            nn.init.constant_(model.stack[0].weight, float("nan"))
        return model


class Quadrants:
    """Points of the plane; the class is the quadrant's diagonal."""

    name = "quadrants"
    metric = "accuracy"
    higher_is_better = True
    carries_state = False
    shape = DataShape("features", 2, 2, every_step=False)

    def training_batches(self, seed: int) -> Iterator[Batch]:
        step = 0
        while True:
            yield self._batch([seed, step])
            step += 1

    def validation_batches(self) -> Iterator[Batch]:
        return (self._batch([10**6, i]) for i in range(2))

    def test_batches(self) -> Iterator[Batch]:
        return (self._batch([10**7, i]) for i in range(2))

    def score_batch(self, seed: int) -> Batch:
        return self._batch([10**8, seed])

    def loss(self, answers, targets):
        return cross_entropy(answers, targets)

    def measure(self, answered) -> Measured:
        return Measured(*mean_cross_entropy(answered))

    def _batch(self, seed: list[int]) -> Batch:
        points = np.random.default_rng(seed).normal(size=(32, 1, 2)).astype(np.float32)
        return Batch(tensor(points), tensor((points.prod(axis=2) > 0).astype(np.int64)[:, 0]))


class FirstWeight:
    """A score with a different value for every model; takes NAS_TOY_SECONDS."""

    name = "first-weight"
    higher_is_better = True

    def __call__(self, model, batch, generator) -> dict[str, float]:
        time.sleep(float(os.environ.get("NAS_TOY_SECONDS", 0)))
        return {self.name: float(next(model.parameters()).detach().flatten()[0])}


class KillsItsWorker(FirstWeight):
    """Kills the process that scores a one-layer model, as often as NAS_TOY_KILLS allows.

    The kills are counted by the files in NAS_TOY_FOLDER, one a kill and width.
    """

    name = "kills-its-worker"

    def __call__(self, model, batch, generator) -> dict[str, float]:
        linears = [layer for layer in model.stack if isinstance(layer, nn.Linear)]
        if len(linears) == 2:
            folder = Path(os.environ["NAS_TOY_FOLDER"])
            width = linears[0].out_features
            kills = len(list(folder.glob(f"{width}-*")))
            if kills < int(os.environ["NAS_TOY_KILLS"]):
                (folder / f"{width}-{kills}").touch()
                os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(model, batch, generator)


class RunsOutOfMemory(FirstWeight):
    name = "runs-out-of-memory"

    def __call__(self, model, batch, generator) -> dict[str, float]:
        raise MemoryError
