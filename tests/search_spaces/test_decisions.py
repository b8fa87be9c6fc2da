"""Decisions and what can be done with a record of them, in every space."""

import numpy as np
import optuna
import pytest

from search_spaces import genome
from search_spaces.architecture import Architecture
from search_spaces.decisions import (
    Decisions,
    InvalidArchitecture,
    at_random,
    enumerated,
    from_trial,
    replayed,
)
from search_spaces.rnn_cell.space import RnnCellSpace
from tests.toys import Perceptrons

SPACES = [RnnCellSpace(), Perceptrons()]
EVERY_SPACE = pytest.mark.parametrize("space", SPACES, ids=lambda space: space.name)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@EVERY_SPACE
def test_the_same_decisions_give_the_same_architecture(space) -> None:
    for seed in range(20):
        architecture, answers = genome.sample(space, rng(seed))
        assert genome.decode(space, answers) == architecture
        assert Architecture.from_json(architecture.to_json()) == architecture
        assert Architecture.from_json(architecture.to_json()).digest() == architecture.digest()


@EVERY_SPACE
def test_a_mutant_answers_one_decision_of_its_parent_differently(space) -> None:
    for seed in range(20):
        _, parent = genome.sample(space, rng(seed))
        _, child = genome.mutate(space, parent, rng(seed))
        changed = [name for name in parent if name in child and parent[name] != child[name]]
        first = next(name for name in parent if parent[name] != child.get(name))
        assert first == changed[0]
        before = list(parent)[: list(parent).index(first)]
        assert all(child[name] == parent[name] for name in before)


@EVERY_SPACE
def test_a_child_of_two_has_answers_of_either(space) -> None:
    _, mother = genome.sample(space, rng(1))
    _, father = genome.sample(space, rng(2))
    architecture, child = genome.cross(space, mother, father, rng(3))
    assert genome.decode(space, child) == architecture
    inherited = [n for n in child if child[n] in (mother.get(n), father.get(n))]
    assert len(inherited) > len(child) / 2


@EVERY_SPACE
def test_the_options_of_a_choice_never_change(space) -> None:
    seen: dict[str, tuple] = {}
    for seed in range(50):
        _, answers = genome.sample(space, rng(seed))
        for name, options in genome.options_of(space, answers).items():
            if not isinstance(options, range):
                assert seen.setdefault(name, options) == options


@EVERY_SPACE
def test_an_optuna_trial_answers_and_its_parameters_are_the_record(space) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    decided = 0
    for _ in range(20):
        trial = study.ask()
        try:
            architecture = space.decide(from_trial(trial))
        except InvalidArchitecture:
            continue
        assert genome.decode(space, trial.params) == architecture
        decided += 1
    assert decided > 0


def test_enumeration_finds_every_architecture_once() -> None:
    found = [architecture for architecture, _ in genome.enumerate_space(Perceptrons())]
    assert len(found) == len(set(found)) == 3 + 9 + 27


def test_enumeration_leaves_out_what_is_invalid() -> None:
    def decide(decisions: Decisions) -> int:
        value = decisions.integer("n", 0, 4) * 10 + decisions.choose("m", (1, 2))
        if value % 2:
            raise InvalidArchitecture("odd")
        return value

    assert [value for value, _ in enumerated(decide)] == [2, 12, 22, 32, 42]


def test_records_become_numbers_for_a_predictor() -> None:
    matrix, columns = genome.encode([{"n": 3, "op": "a"}, {"op": "b"}])
    rows = [dict(zip(columns, row, strict=True)) for row in matrix.tolist()]
    assert rows[0] == {"n?": 1, "n": 3, "op?": 1, "op=a": 1, "op=b": 0}
    assert rows[1] == {"n?": 0, "n": 0, "op?": 1, "op=a": 0, "op=b": 1}


def test_scopes_are_paths_and_a_name_is_asked_for_once() -> None:
    decisions = at_random(rng())
    decisions.scope("cell").scope("node").choose("op", ("a",))
    assert decisions.answers == {"cell/node/op": "a"}
    with pytest.raises(ValueError, match='"cell/node/op" is asked for twice'):
        decisions.scope("cell/node").choose("op", ("a",))


def test_a_record_that_lacks_an_answer_is_refused() -> None:
    with pytest.raises(InvalidArchitecture, match='"layers" is not in the record'):
        genome.decode(Perceptrons(), {})
    with pytest.raises(InvalidArchitecture, match='"layers" is 9 in the record'):
        replayed({"layers": 9}).integer("layers", 1, 3)
