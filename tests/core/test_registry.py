"""What can be named, and what is said when it cannot."""

import pickle
from importlib.metadata import EntryPoint

import numpy as np
import pytest
from optuna.samplers import RandomSampler

from nas.core import registry
from nas.core.errors import BadInput
from nas.core.registry import (
    BUILT_IN,
    available,
    create,
    create_controller,
    create_score,
    needed,
    resolve,
)
from search_spaces import genome
from search_spaces.architecture import Architecture
from search_spaces.rnn_cell.space import RnnCellSpace
from search_spaces.space import DataShape, SearchSpace
from tests.toys import FirstWeight, Perceptrons


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind in BUILT_IN for name in BUILT_IN[kind]]
)
def test_everything_built_in_is_where_it_is_said_to_be(kind, name: str) -> None:
    assert callable(resolve(kind, name))


def test_options_make_the_thing() -> None:
    space = create("spaces", "rnn-cell", {"budgets": [7], "hidden_states": [1, 2]})
    assert isinstance(space, RnnCellSpace)
    assert (space.budgets, space.hidden_states) == ((7,), (1, 2))


def test_ones_own_class_is_named_by_its_module() -> None:
    assert isinstance(create("spaces", "tests.toys:Perceptrons"), Perceptrons)
    assert isinstance(create("scores", "tests.toys:FirstWeight"), FirstWeight)


class Bare:
    """A space that derives from nothing and has one of the hooks."""

    name = "bare"
    decide, build = Perceptrons.decide, Perceptrons.build

    def properties(self, architecture: Architecture) -> dict[str, float]:
        return {"layers": len(architecture.spec)}  # type: ignore[arg-type]


def test_a_space_without_hooks_gets_their_defaults_and_keeps_its_own() -> None:
    space = create("spaces", "tests.core.test_registry:Bare")
    space = pickle.loads(pickle.dumps(space))  # as it is sent to workers
    architecture, _ = genome.sample(space, rng())
    assert isinstance(space, SearchSpace) and space.name == "bare"
    assert space.properties(architecture) == {"layers": len(architecture.spec)}  # type: ignore
    assert space.graph(architecture) is None
    space.check(DataShape("features", 2, 2, every_step=False))


def test_what_is_needed_are_the_members_of_the_protocols() -> None:
    assert needed("spaces") == ("name", "decide", "build")
    assert needed("scores") == ("name", "higher_is_better", "__call__")
    assert {"test_batches", "shape", "loss"} <= set(needed("tasks"))


def test_an_installed_package_may_register_more_but_not_replace(monkeypatch) -> None:
    entries = [
        EntryPoint("perceptrons", "tests.toys:Perceptrons", "nas.spaces"),
        EntryPoint("rnn-cell", "tests.toys:Perceptrons", "nas.spaces"),
    ]
    monkeypatch.setattr(registry, "entry_points", lambda group: entries)
    assert available("spaces")["perceptrons"] == "tests.toys:Perceptrons"
    assert isinstance(create("spaces", "perceptrons"), Perceptrons)
    assert isinstance(create("spaces", "rnn-cell"), RnnCellSpace)


@pytest.mark.parametrize(
    ("kind", "name", "options", "message"),
    [
        ("tasks", "tests.toys:FirstWeight", {}, "has no metric, carries_state, shape"),
        ("spaces", "cnn", {}, 'no space "cnn": there are rnn-cell'),
        ("spaces", "nowhere:It", {}, "cannot be imported: No module named 'nowhere'"),
        ("spaces", "tests.toys:It", {}, 'module tests.toys has no "It"'),
        ("spaces", "tests.toys:FirstWeight", {}, "has no decide"),
        ("spaces", "rnn-cell", {"colour": 1}, "takes no colour: it takes hidden_states, budgets"),
        ("spaces", "rnn-cell", {"hidden_states": 5}, "hidden_states is 5, must be fewest and"),
        ("spaces", "rnn-cell", {"hidden_states": [3, 1]}, "hidden_states is [3, 1]"),
        ("spaces", "rnn-cell", {"hidden_states": [0, 1]}, "hidden_states is [0, 1]"),
        ("spaces", "rnn-cell", {"budgets": []}, "budgets is [], must be numbers of nodes"),
        ("spaces", "rnn-cell", {"budgets": ["a"]}, "budgets is ['a']"),
        ("tasks", "language-model", {}, "needs --data PATH"),
    ],
)
def test_what_cannot_be_made_is_named(kind, name: str, options: dict, message: str) -> None:
    with pytest.raises(BadInput) as error:
        create(kind, name, options)
    assert message in str(error.value)


def test_a_controller_is_made_from_the_generator_it_is_given() -> None:
    assert isinstance(create_controller("random", rng(), {}), RandomSampler)


def test_a_controller_must_be_a_sampler() -> None:
    with pytest.raises(BadInput, match="makes a list, no Optuna sampler"):
        create_controller("tests.core.test_registry:no_sampler", rng(), {})


def no_sampler(rng: np.random.Generator) -> list[int]:
    return []


def test_a_controller_names_the_option_that_it_does_not_take() -> None:
    with pytest.raises(BadInput, match='"evolution" takes no size: it takes population'):
        create_controller("evolution", rng(), {"size": 3})


def test_options_of_a_score_follow_its_name() -> None:
    assert create_score("hidden-covariance,between=sequences").between == "sequences"
    for text, words in [
        ("hidden-covariance,between", "is no option=value"),
        ("hidden-covariance,between=rows", 'between must be "units" or "sequences"'),
        ("hidden-covariance,rows=1", "takes no rows"),
    ]:
        with pytest.raises(BadInput, match=words):
            create_score(text)
