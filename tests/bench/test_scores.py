"""`nas bench scores`: reading tables, merging runs and rating scores."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kendalltau

from kernels.cell.zoo import ZOO
from nas.bench.ranks import rank_row
from nas.bench.recipes import read_table
from nas.bench.scores import cross_validated, known_columns, rows_of
from nas.bench.table_files import read_table as read_search_table
from nas.core.errors import BadInput
from nas.scores.predicted_loss import fit
from tests.jobs.command import nas

ROWS = [
    {"id": i, "recipe": ZOO[name], "last_test": 5.0 + i}
    for i, name in enumerate(["lstm", "gru", "rnn-tanh", "lstm"])
]


def write(folder: Path, rows: list) -> Path:
    path = folder / "table.jsonl"
    path.write_text(
        "".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows)
    )
    return path


def test_runs_of_the_same_recipe_are_merged_into_their_mean(tmp_path: Path) -> None:
    recipes = read_table(write(tmp_path, ROWS))
    assert [recipe.loss for recipe in recipes] == [6.5, 6.0, 7.0]


def test_a_run_without_a_loss_is_left_out(tmp_path: Path) -> None:
    rows = [*ROWS[:3], {**ROWS[3], "last_test": None}]
    assert [recipe.loss for recipe in read_table(write(tmp_path, rows))] == [5.0, 6.0, 7.0]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("{", "line 5: not JSON"),
        ([1], "line 5: expected"),
        ({"id": 9, "recipe": ZOO["gru"]}, 'line 5: add the missing "last_test"'),
        ({**ROWS[0], "last_test": 5}, "line 5: id 0 is already on line 1"),
        (
            {**ROWS[0], "id": 9, "last_test": "good"},
            "line 5: last_test must be a number, not 'good'",
        ),
        (
            {**ROWS[0], "id": 9, "last_test": float("inf")},
            "line 5: last_test must be a number, not inf",
        ),
        ({**ROWS[0], "id": 9, "recipe": {"h": 1}}, "line 5: "),
        ({**ROWS[0], "id": 9, "recipe": [1]}, "line 5: "),
        ({**ROWS[0], "id": 9, "ref_metrics": {"a": "b"}}, "line 5: ref_metrics.a must be a number"),
        ({**ROWS[0], "id": 9, "ref_metrics": 3}, "line 5: ref_metrics must be"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, row, words: str) -> None:
    with pytest.raises(BadInput, match=words.replace("(", r"\(")):
        read_table(write(tmp_path, [*ROWS, row]))


def test_other_columns_of_the_table_become_rows(tmp_path: Path) -> None:
    rows = [
        {**row, "val_losses": [row["last_test"] + 1, 9], "ref_metrics": {"mine": -row["last_test"]}}
        for row in ROWS[:3]
    ]
    recipes = read_table(write(tmp_path, rows))
    found = {row.name: row for row in rows_of(known_columns(recipes), recipes)}
    assert list(found) == ["loss after epoch 1", "published mine"]
    assert (found["loss after epoch 1"].tau, found["published mine"].tau) == (1, -1)


def test_a_predicted_loss_is_never_fitted_to_what_it_predicts() -> None:
    """The losses are unrelated to the features, so only a forest that has seen them ranks them."""
    rng = np.random.default_rng(1)
    losses = rng.uniform(4, 8, size=80)
    features = [{name: float(rng.normal()) for name in "abcdefgh"} for _ in losses]
    seen = fit(features, losses.tolist())
    assert kendalltau([seen.predict(row) for row in features], losses)[0] > 0.3
    rows = cross_validated([*features, {}], [*losses.tolist(), 5.0], seed=0)
    predicted = [row["predicted-loss"] for row in rows[:-1]]
    assert rows[-1] == {}
    assert abs(kendalltau(predicted, losses)[0]) < 0.2


def test_too_few_recipes_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="2 distinct recipes with a loss: add more, at least 3"):
        read_table(write(tmp_path, ROWS[:2]))


def test_a_perfect_score_has_tau_minus_one_and_a_constant_one_has_none() -> None:
    losses = np.arange(20.0)
    rng = np.random.default_rng(0)
    perfect = rank_row("perfect", -losses, losses, 0.1, 2, rng)
    assert (perfect.tau, perfect.tau_low, perfect.tau_high) == pytest.approx((-1, -1, -1))
    assert (perfect.rho, perfect.tau_good_half) == pytest.approx((-1, -1))
    assert (perfect.candidates, perfect.failed) == (20, 2)
    constant = rank_row("constant", 0 * losses, losses, 0.1, 0, rng)
    assert constant.tau is None and constant.rho is None and constant.tau_good_half is None
    empty = rank_row("empty", losses[:0], losses[:0], 0.1, 20, rng)
    assert empty.tau is None and empty.failed == 20


def test_the_interval_contains_the_true_correlation_of_normal_pairs() -> None:
    # Kendall's tau of normal pairs with correlation r is 2/π arcsin r
    rng = np.random.default_rng(1)
    a = rng.normal(size=300)
    b = 0.6 * a + 0.8 * rng.normal(size=300)
    row = rank_row("normal", a, b, 0.1, 0, rng)
    assert row.tau_low is not None and row.tau_high is not None
    assert row.tau_low < 2 / np.pi * np.arcsin(0.6) < row.tau_high
    assert row.tau_high - row.tau_low < 0.15


def test_the_command_prints_one_object_and_draws(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("a small text , of which bytes are read . " * 300)
    table, chart, values = write(tmp_path, ROWS), tmp_path / "chart.png", tmp_path / "v.jsonl"
    ended = nas(
        *("bench", "scores", "--table", table, "--data", text, "--proxy", "--json"),
        *("--score", "hidden-covariance", "--score", "activation-distance", "--figure", chart),
        *("--values", values),
    )
    assert ended.returncode == 0, ended.stderr
    answer = json.loads(ended.stdout)
    rows = {row["name"]: row for row in answer["scores"]}
    assert list(rows) == [
        *(f"hidden-covariance-{i}" for i in (1, 2, 3)),
        *("activation-distance", "parameters", "flops"),
    ]
    assert answer["recipes"] == 3 and answer["hidden"] == 96
    assert all(row["candidates"] + row["failed"] == 3 for row in rows.values())
    assert chart.stat().st_size > 1000
    known = read_search_table(values)
    assert [row.reward for row in known.rows] == [-6.5, -6, -7]
    assert known.scored(["hidden-covariance-1", "parameters"]) == [0, 1, 2]


def test_a_bad_table_ends_with_code_2_and_one_line(tmp_path: Path) -> None:
    ended = nas("bench", "scores", "--table", write(tmp_path, [*ROWS, ROWS[0]]), "--proxy")
    assert ended.returncode == 2 and ended.stdout == ""
    assert "line 5: id 0 is already on line 1" in ended.stderr
    assert ended.stderr.strip().count("\n") == 0
