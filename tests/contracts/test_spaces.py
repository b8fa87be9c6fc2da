"""Every search space keeps the contract; a space joins by its line in `SPACES`."""

import itertools
from typing import Any

import pytest
import torch
from networkx import DiGraph
from torch import nn

from nas.core.registry import BUILT_IN, create
from nas.testing import check_space
from search_spaces.architecture import Architecture
from search_spaces.output import Output
from search_spaces.space import DataShape, SearchSpace
from tests.toys import Perceptrons, chains_of_a_stack, students_of_a_gru

DATA = DataShape("features", 3, 2, every_step=False)
SPACES = [
    *(create("spaces", name) for name in BUILT_IN["spaces"] if name != "layer-chain"),
    Perceptrons(),
    students_of_a_gru(),
    chains_of_a_stack(),
]
EVERY_SPACE = pytest.mark.parametrize("space", SPACES, ids=lambda space: space.name)


@EVERY_SPACE
def test_it_keeps_the_contract(space) -> None:
    assert isinstance(space, SearchSpace)
    check_space(space, DATA)


class Bare:
    name = "bare"
    decide, build = Perceptrons.decide, Perceptrons.build


def test_a_space_without_hooks_keeps_it_too() -> None:
    check_space(Bare(), DATA)


COUNT = itertools.count()


class Counts(Perceptrons):
    def decide(self, decisions):
        return Architecture(self.name, (*super().decide(decisions).spec, next(COUNT)))  # type: ignore


class AsksTwice(Perceptrons):
    def decide(self, decisions):
        decisions.integer("layers", 1, 2)
        return super().decide(decisions)


class Renames(Perceptrons):
    def decide(self, decisions):
        return Architecture("another", super().decide(decisions).spec)


class ChangesOptions(Perceptrons):
    def decide(self, decisions):
        layers = decisions.integer("layers", 1, 3)
        return Architecture(self.name, (decisions.choose("width", tuple(range(layers + 1))),))


class OffersTuples(Perceptrons):
    def decide(self, decisions):
        return Architecture(self.name, decisions.choose("widths", ((4,), (8,))))


class KeepsObjects(Perceptrons):
    def decide(self, decisions):
        return Architecture(self.name, {"widths": super().decide(decisions).spec})  # type: ignore


class RefusesAsAnError(Perceptrons):
    def decide(self, decisions):
        architecture = super().decide(decisions)
        if len(architecture.spec) == 2:  # type: ignore[arg-type]
            raise RuntimeError("two layers are one too many")
        return architecture


class TorchsOwnWeights(Perceptrons):
    def build(self, architecture, shape, generator):
        model = super().build(architecture, shape, generator)
        model.stack[0].reset_parameters()  # type: ignore
        return model


class NewWeightsEachTime(Perceptrons):
    def build(self, architecture, shape, generator):
        return super().build(architecture, shape, torch.Generator().manual_seed(next(COUNT)))


class Wrapped(nn.Module):
    def __init__(self, model: nn.Module, change) -> None:
        super().__init__()
        self.model, self.change = model, change

    def forward(self, *given: Any) -> Any:
        return self.change(self.model(*given))


class Changed(Perceptrons):
    def __init__(self, change) -> None:
        self.change = change

    def build(self, architecture, shape, generator):
        return Wrapped(super().build(architecture, shape, generator), self.change)


class Choosy(Perceptrons):
    def check(self, data):
        raise ValueError("images only")


class DrawsWithoutLabels(Perceptrons):
    def graph(self, architecture):
        return DiGraph([(0, 1)])


class CountsProperties(Perceptrons):
    def properties(self, architecture):
        return {"calls": next(COUNT)}


@pytest.mark.parametrize(
    ("space", "words"),
    [
        (object(), "object has no name, decide, build: a space needs name, decide, build"),
        (Counts(), "the same decisions give different architectures"),
        (AsksTwice(), '"layers" is asked for twice: give each decision its own name'),
        (Renames(), r"return Architecture\(self.name, …\)"),
        (ChangesOptions(), "decision width has options .* and at other times"),
        (OffersTuples(), "decision widths has options .*: offer numbers and strings"),
        (KeepsObjects(), "write the spec in tuples"),
        (RefusesAsAnError(), "raises RuntimeError: two layers .* raise InvalidArchitecture"),
        (TorchsOwnWeights(), "build uses the global random state"),
        (NewWeightsEachTime(), "build gives other weights each time"),
        (Changed(tuple), "a model returns tuple: return search_spaces.output.Output"),
        (Changed(lambda o: Output(o.answers[:, :1], None, o.penalty)), r"must be \(4, 2\)"),
        (Changed(lambda o: o._replace(answers=o.answers * 0)), "no weight of .* has a gradient"),
        (Choosy(), "images only; name data that the space has models for"),
        (DrawsWithoutLabels(), "give each node label, kind and state"),
        (CountsProperties(), "properties differ from call to call"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Perceptrons) else "",
)
def test_what_is_broken_is_caught(space: Any, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        check_space(space, DATA)
