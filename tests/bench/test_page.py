"""The pages of benchmarks hold the rows and, for replays, their curves."""

import json
import re
from pathlib import Path

from kernels.cell.zoo import ZOO
from tests.jobs.command import nas


def explored(page: Path) -> dict:
    """Return the rows that a page explores."""
    (data,) = re.findall(r'class="explorer">(.*?)</script>', page.read_text())
    return json.loads(data)


def column(data: dict, name: str) -> dict:
    return next(column for column in data["columns"] if column["name"] == name)


def test_a_replay_has_a_row_and_a_falling_curve_per_seed(tmp_path: Path) -> None:
    rows = [{"decisions": {"a": a, "b": b}, "value": a + b} for a in range(4) for b in range(4)]
    table, page = tmp_path / "table.jsonl", tmp_path / "page.html"
    table.write_text("\n".join(map(json.dumps, rows)))
    small = ("--seeds", 3, "--trained", 8, "--page", page)
    ended = nas("bench", "search", "--table", table, "--controller", "random", *small)
    assert ended.returncode == 0, ended.stderr
    data = explored(page)
    assert data["labels"] == ["random, seed 0", "random, seed 1", "random, seed 2"]
    for i, last in enumerate(column(data, "regret after 8")["values"]):
        steps, (regret,) = data["curves"][str(i)]["steps"], data["curves"][str(i)]["values"]
        assert steps[-1] == 8 and regret[-1] == last and regret == sorted(regret, reverse=True)


def test_scores_are_plotted_against_the_loss_of_each_recipe(tmp_path: Path) -> None:
    names = ("gru", "lstm", "rnn-tanh")
    rows = [{"id": i, "recipe": ZOO[name], "last_test": 5.0 + i} for i, name in enumerate(names)]
    table, page = tmp_path / "table.jsonl", tmp_path / "page.html"
    table.write_text("\n".join(map(json.dumps, rows)))
    ended = nas("bench", "scores", "--table", table, "--score", "parameters", "--page", page)
    assert ended.returncode == 0, ended.stderr
    data = explored(page)
    assert column(data, "test loss")["values"] == [5, 6, 7] and data["y"] == "test loss"
    assert all(value > 1000 for value in column(data, "parameters")["values"])


def test_a_page_must_end_in_html() -> None:
    ended = nas("bench", "kernels", "--page", "page.png")
    assert ended.returncode == 2 and "end the page's name in .html" in ended.stderr
