"""Mutating, crossing and encoding records of decisions."""

from collections import Counter

import numpy as np
import pytest

from search_spaces import genome
from search_spaces.architecture import Architecture
from search_spaces.decisions import Decisions, InvalidArchitecture
from tests.toys import Perceptrons


class Bits:
    """Five bits; `forbidden` sums are invalid."""

    name = "bits"

    def __init__(self, forbidden: tuple[int, ...] = ()) -> None:
        self.forbidden = forbidden

    def decide(self, decisions: Decisions) -> Architecture:
        bits = tuple(decisions.choose(f"bit_{i}", (0, 1)) for i in range(5))
        if sum(bits) in self.forbidden:
            raise InvalidArchitecture(f"the sum is {sum(bits)}")
        return Architecture(self.name, bits)

    def build(self, architecture, shape, generator):
        raise NotImplementedError


class Settled(Bits):
    def decide(self, decisions: Decisions) -> Architecture:
        return Architecture(self.name, decisions.integer("n", 7, 7))


ZEROS = {f"bit_{i}": 0 for i in range(5)}
ONES = {f"bit_{i}": 1 for i in range(5)}


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_every_decision_is_equally_likely_to_mutate() -> None:
    random = rng()
    changed: Counter = Counter()
    for _ in range(1000):
        _, child = genome.mutate(Bits(), ZEROS, random)
        assert sum(child.values()) == 1
        changed += Counter(name for name, bit in child.items() if bit)
    assert min(changed.values()) > 150
    assert set(changed) == set(ZEROS)


def test_a_mutation_is_drawn_again_until_it_is_valid() -> None:
    _, parent = genome.sample(Bits(forbidden=(0, 1, 3, 4, 5)), rng())
    only = Bits(forbidden=(1,))
    for seed in range(20):
        architecture, _ = genome.mutate(only, parent, rng(seed))
        assert sum(architecture.spec) == 3


def test_the_error_names_the_last_reason_if_no_valid_mutant_is_found() -> None:
    with pytest.raises(InvalidArchitecture, match=r"bits: 9 proposals in a row.*the sum is"):
        genome.sample(Bits(forbidden=tuple(range(6))), rng(), attempts=9)


def test_a_space_without_a_choice_has_no_mutants() -> None:
    with pytest.raises(InvalidArchitecture, match="has no decision with a choice"):
        genome.mutate(Settled(), {"n": 7}, rng())


def test_a_child_takes_about_half_of_its_answers_from_each_parent() -> None:
    random = rng()
    children = [genome.cross(Bits(), ZEROS, ONES, random)[0].spec for _ in range(400)]
    assert np.mean(children) == pytest.approx(0.5, abs=0.05)
    assert len(set(children)) == 32


def test_decisions_that_only_one_parent_made_are_inherited_too() -> None:
    shallow = {"layers": 1, "layer_0/width": 4}
    deep = {"layers": 3, "layer_0/width": 8, "layer_1/width": 8, "layer_2/width": 8}
    random = rng()
    specs = {genome.cross(Perceptrons(), shallow, deep, random)[0].spec for _ in range(100)}
    assert specs == {(4,), (8,), (4, 8, 8), (8, 8, 8)}


def test_the_options_of_a_record_are_those_of_its_decisions() -> None:
    options = genome.options_of(Perceptrons(), {"layers": 1, "layer_0/width": 4})
    assert options == {"layers": range(1, 4), "layer_0/width": (4, 8, 16)}


def test_a_boolean_is_a_category() -> None:
    matrix, columns = genome.encode([{"tied": True}, {"tied": False}])
    assert columns == ["tied?", "tied=True", "tied=False"]
    assert matrix.tolist() == [[1, 1, 0], [1, 0, 1]]
