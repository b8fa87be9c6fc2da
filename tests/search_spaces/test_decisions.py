"""Decisions: names, scopes, records, enumeration."""

import numpy as np
import pytest

from search_spaces import genome
from search_spaces.decisions import (
    Decision,
    Decisions,
    InvalidArchitecture,
    Path,
    at_random,
    by_policy,
    enumerated,
    replayed,
)
from tests.toys import Perceptrons


def test_enumeration_finds_every_architecture_once() -> None:
    found = [architecture for architecture, _ in genome.enumerate_space(Perceptrons())]
    assert len(found) == len(set(found)) == 3 + 9 + 27


def test_enumeration_skips_invalid_architectures() -> None:
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


def test_scopes_are_paths_and_names_are_unique() -> None:
    decisions = at_random(np.random.default_rng(0))
    decisions.scope("cell").scope("node").choose("op", ("a",))
    assert decisions.answers == {"cell/node/op": "a"}
    with pytest.raises(ValueError, match='"cell/node/op" is asked for twice'):
        decisions.scope("cell/node").choose("op", ("a",))


def test_a_policy_receives_the_path_so_far_wherever_there_is_a_choice() -> None:
    asked: list[tuple[Path, str, int]] = []

    def last(path: Path, name: str, options: int) -> int:
        asked.append((path, name, options))
        return options - 1

    decisions, path = by_policy(last)
    assert decisions.integer("settled", 5, 5) == 5
    assert decisions.scope("cell").choose("op", ("a", "b")) == "b"
    assert decisions.integer("n", 3, 9) == 9
    settled, op, n = Decision("settled", 0, 1), Decision("cell/op", 1, 2), Decision("n", 6, 7)
    assert path == [settled, op, n]
    assert asked == [((settled,), "cell/op", 2), ((settled, op), "n", 7)]


def test_a_record_with_a_missing_answer_is_refused() -> None:
    with pytest.raises(InvalidArchitecture, match='"layers" is not in the record'):
        genome.decode(Perceptrons(), {})
    with pytest.raises(InvalidArchitecture, match='"layers" is 9 in the record'):
        replayed({"layers": 9}).integer("layers", 1, 3)
