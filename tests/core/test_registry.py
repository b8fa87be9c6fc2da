"""Looking things up by name, and the messages if that fails."""

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
def test_every_built_in_name_can_be_imported(kind, name: str) -> None:
    assert callable(resolve(kind, name))


def test_options_reach_the_constructor() -> None:
    space = create("spaces", "rnn-cell", {"budgets": [7], "hidden_states": [1, 2]})
    assert isinstance(space, RnnCellSpace)
    assert (space.budgets, space.hidden_states) == ((7,), (1, 2))


def test_a_users_class_is_named_by_its_module() -> None:
    assert isinstance(create("spaces", "tests.toys:Perceptrons"), Perceptrons)
    assert isinstance(create("scores", "tests.toys:FirstWeight"), FirstWeight)


class Bare:
    """A space without a base class and with only one of the hooks."""

    name = "bare"
    decide, build = Perceptrons.decide, Perceptrons.build

    def properties(self, architecture: Architecture) -> dict[str, float]:
        return {"layers": len(architecture.spec)}  # type: ignore[arg-type]


def test_a_space_without_hooks_gets_their_defaults_and_keeps_its_own() -> None:
    space = create("spaces", "tests.core.test_registry:Bare")
    space = pickle.loads(pickle.dumps(space))  # as for workers
    architecture, _ = genome.sample(space, rng())
    assert isinstance(space, SearchSpace) and space.name == "bare"
    assert space.properties(architecture) == {"layers": len(architecture.spec)}  # type: ignore
    assert space.graph(architecture) is None
    space.check(DataShape("features", 2, 2, every_step=False))


def test_an_object_needs_the_members_of_its_protocol() -> None:
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
        ("tasks", "tests.toys:FirstWeight", {}, "lacks metric, carries_state, shape"),
        ("spaces", "cnn", {}, 'unknown space "cnn"; available: rnn-cell'),
        ("spaces", "nowhere:It", {}, "cannot be imported: No module named 'nowhere'"),
        ("spaces", "tests.toys:It", {}, 'module tests.toys has no "It"'),
        ("spaces", "tests.toys:FirstWeight", {}, "lacks decide"),
        (
            "spaces",
            "rnn-cell",
            {"colour": 1},
            "has no option colour; options: hidden_states, budgets",
        ),
        (
            "spaces",
            "rnn-cell",
            {"hidden_states": 5},
            "hidden_states must be fewest and most, such as [1, 3], not 5",
        ),
        ("spaces", "rnn-cell", {"hidden_states": [3, 1]}, "[1, 3], not [3, 1]"),
        ("spaces", "rnn-cell", {"hidden_states": [0, 1]}, "[1, 3], not [0, 1]"),
        (
            "spaces",
            "rnn-cell",
            {"budgets": []},
            "budgets must be numbers of nodes, such as [7, 14, 21], not []",
        ),
        ("spaces", "rnn-cell", {"budgets": ["a"]}, "not ['a']"),
        ("tasks", "language-model", {}, "needs --data PATH"),
    ],
)
def test_a_bad_name_or_option_is_named(kind, name: str, options: dict, message: str) -> None:
    with pytest.raises(BadInput) as error:
        create(kind, name, options)
    assert message in str(error.value)


def test_a_controller_is_made_from_the_given_generator() -> None:
    assert isinstance(create_controller("random", rng(), {}), RandomSampler)


def test_a_controller_must_be_a_sampler() -> None:
    with pytest.raises(BadInput, match="must return an Optuna sampler, not list"):
        create_controller("tests.core.test_registry:no_sampler", rng(), {})


def no_sampler(rng: np.random.Generator) -> list[int]:
    return []


def test_an_unknown_option_of_a_controller_is_named() -> None:
    with pytest.raises(BadInput, match='"evolution" has no option size; options: population'):
        create_controller("evolution", rng(), {"size": 3})


def test_options_of_a_score_follow_its_name() -> None:
    assert create_score("hidden-covariance,between=sequences").between == "sequences"
    for text, words in [
        ("hidden-covariance,between", 'write "between" as option=value'),
        ("hidden-covariance,between=rows", 'not "rows"'),
        ("hidden-covariance,rows=1", "has no option rows"),
    ]:
        with pytest.raises(BadInput, match=words):
            create_score(text)
