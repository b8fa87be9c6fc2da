"""Rungs on a virtual clock, compared with searches counted by hand."""

import json
from pathlib import Path

import pytest

from kernels.cell.zoo import ZOO
from nas.bench.recipes import Trained
from nas.bench.rungs import replay, with_curves
from nas.core.errors import BadInput
from search_spaces.rnn_cell.recipe import read_recipe
from tests.jobs.command import nas

CELL = read_recipe(ZOO["gru"])


def recipe(loss: float, seconds: float = 3600.0) -> Trained:
    """Return a recipe whose four epochs fall to the loss."""
    return Trained(CELL, loss, {}, tuple(loss + 4 - epoch for epoch in range(1, 5)), seconds)


def test_one_rung_trains_all_to_the_end() -> None:
    found = replay([recipe(1), recipe(2), recipe(3)], 3, 1, 2, workers=1, seeds=range(3))
    assert found.hours.tolist() == [12, 12, 12]
    assert found.regret.tolist() == [0, 0, 0]


def test_workers_share_the_training() -> None:
    found = replay([recipe(n) for n in range(4)], 4, 1, 2, workers=2, seeds=[0])
    assert found.hours.tolist() == [8]


def test_rungs_drop_the_worse_half_after_half_the_epochs() -> None:
    """Four train for two epochs, then the best two for two more: 8 + 4 hours on one worker."""
    found = replay([recipe(n) for n in range(4)], 4, 2, 2, workers=1, seeds=[0, 1])
    assert found.hours.tolist() == [12, 12]
    assert found.regret.tolist() == [0, 0]


def test_curves_that_cross_cost_regret() -> None:
    late = Trained(CELL, 0.5, {}, (9.0, 9.0, 9.0, 0.5), 3600.0)
    found = replay([late, recipe(1), recipe(2)], 3, 2, 2, workers=1, seeds=[0])
    assert found.regret.tolist() == [0.5]


def test_recipes_without_curves_are_left_out_and_none_is_refused() -> None:
    bare = Trained(CELL, 1.0, {})
    assert with_curves([bare, recipe(1)]) == [recipe(1)]
    with pytest.raises(BadInput, match="no recipe of the table has both val_losses"):
        with_curves([bare])


def test_the_command_prints_hours_and_regret(tmp_path: Path) -> None:
    rows = [
        {"id": i, "recipe": ZOO[name], "last_test": 5 + i, "wall_per_epoch": 3600}
        | {"val_losses": [7 + i, 6 + i]}
        for i, name in enumerate(["lstm", "gru", "rnn-tanh"])
    ]
    table = tmp_path / "table.jsonl"
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    arguments = ("bench", "rungs", "--table", table, "--workers", 1, "--seeds", 2)
    ended = nas(*map(str, arguments), "--candidates", "3", "--most", "2", "--json")
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)["rungs"]
    assert found["1"] == {"hours": [6, 0], "regret": [0, 0]}
    assert found["2"] == {"hours": [4, 0], "regret": [0, 0]}
    refused = nas(*map(str, arguments), "--candidates", "9")
    assert (
        refused.returncode == 2
        and "only 3 recipes with curves: lower --candidates 9" in refused.stderr
    )
