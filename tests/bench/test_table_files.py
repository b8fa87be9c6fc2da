"""Reading tables of trained architectures, and refusing bad lines by name."""

import json

import numpy as np
import pytest

from nas.bench.table_files import read_table
from nas.core.errors import BadInput
from search_spaces.decisions import InvalidArchitecture, at_random, enumerated, replayed


def own(folder, *lines):
    path = folder / "own.jsonl"
    path.write_text(
        "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    )
    return path


def test_a_users_table_is_a_space_of_its_rows(tmp_path) -> None:
    rows = [
        {"decisions": {"layers": n, **{f"{i}": "ab"[i % 2] for i in range(n)}}, "value": n}
        for n in (1, 2, 3)
    ]
    table = read_table(own(tmp_path, *rows))
    assert [row for row, _ in enumerated(table.decide)] == [0, 1, 2]
    assert table.best == 3
    assert table.decide(replayed({"layers": 2, "0": "a", "1": "b"})) == 1


def test_a_lower_loss_is_better(tmp_path) -> None:
    table = read_table(own(tmp_path, *({"decisions": {"n": n}, "loss": n} for n in (3, 1, 2))))
    assert table.best == -1


def test_an_architecture_missing_from_the_table_is_invalid(tmp_path) -> None:
    rows = [{"decisions": {"a": a, "b": b}, "value": 1} for a, b in ((0, 0), (1, 0), (1, 1))]
    with pytest.raises(InvalidArchitecture):
        read_table(own(tmp_path, *rows)).decide(replayed({"a": 0, "b": 1}))


GOOD = {"decisions": {"a": 1, "b": 2}, "value": 1}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: not JSON: Expecting"),
        ("[]", "line 2"),
        ({"value": 1}, "line 2: add the missing 'recipe'"),
        ({"decisions": {"a": 1, "b": 2}}, "line 2: add the missing 'loss'"),
        ({"decisions": {"a": [1], "b": 2}, "value": 1}, "line 2: .*string or number"),
        ({"decisions": {"a": 1, "b": 3}, "value": float("nan")}, "line 2: .*must be finite"),
        ({"decisions": {"a": 1, "b": 3}, "value": "high"}, "line 2: could not convert"),
        ({"decisions": {}, "value": 1}, "line 2: decisions are empty"),
        ({"decisions": {"b": 1}, "value": 1}, 'line 2: decision "b" must be "a"'),
        ({"decisions": {"a": 1}, "value": 1}, "line 2: remove the row"),
        ({"decisions": {"a": 1, "b": 2, "c": 3}, "value": 1}, 'line 2: decision "c" comes after'),
        ({"recipe": {"f": {}}, "value": 1}, "line 2: use either decisions or recipes"),
        (GOOD, "line 2: remove the row"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        read_table(own(tmp_path, GOOD, line))


def test_an_empty_or_missing_file_is_refused(tmp_path) -> None:
    with pytest.raises(BadInput, match="has no architectures"):
        read_table(own(tmp_path))
    with pytest.raises(BadInput, match="does not exist"):
        read_table(tmp_path / "none.jsonl")
    with pytest.raises(BadInput, match="does not exist"):
        read_table(tmp_path)


@pytest.mark.parametrize(
    ("path", "rows", "best", "decisions"),
    [
        ("nb201", 15625, 91.57, 6),
        ("nb201/nb201_valid_nets.csv", 9445, 91.57, 6),
        ("nas-bench-macro_cifar10.json", 6561, 93.12666320800781, 8),
        ("nbnlp_RNN_results.csv", 8794, -4.428692864, 1),
    ],
)
def test_published_benchmarks_are_read_completely(data_folder, path, rows, best, decisions) -> None:
    table = read_table(data_folder / "nas" / path)
    assert (len(table.rows), table.best) == (rows, best)
    rng = np.random.default_rng(0)
    for _ in range(20):
        asked = at_random(rng)
        try:
            row = table.decide(asked)
        except InvalidArchitecture:
            assert rows == 9445
            continue
        assert table.rows[row].answers == asked.answers
        assert len(asked.answers) == decisions


def test_distinct_architectures_have_scores(data_folder) -> None:
    table = read_table(data_folder / "nas" / "nb201")
    assert len(table.scored(["synflow", "jacov", "nwot"])) == 9445
    with pytest.raises(
        BadInput, match="no row with loudness: choose from its scores epe_nas, fisher"
    ):
        table.scored(["loudness"])
