"""Properties of random graphs against accuracies, made so that the answer is known; and trained."""

import json
from pathlib import Path

import numpy as np
import pytest

from nas.bench.graphs import PUBLISHED, correlations, figure, predictions
from tests.jobs.command import nas

rng = np.random.default_rng(0)
NODES = rng.integers(10, 51, 120).astype(float)
SPREAD = rng.random(120)
COLUMNS = {
    "nodes": NODES,
    "log_parameters": 2 * np.log(NODES),
    "edges": NODES * 3 + rng.normal(size=120),
    "degree_variance": SPREAD,
    "layers": np.full(120, 4.0),
}
ACCURACY = 0.5 + 0.004 * NODES - 0.2 * SPREAD + 0.01 * rng.normal(size=120)


def test_size_held_fixed_leaves_what_size_does_not_say() -> None:
    found = {row.name: row for row in correlations("gru", COLUMNS, ACCURACY)}
    edges, spread = found["edges"], found["degree_variance"]
    assert edges.pearson > 0.6 and abs(edges.partial) < 0.3
    assert edges.partial_low < 0 < edges.partial_high
    assert spread.pearson_low < spread.pearson < spread.pearson_high < 0
    assert spread.partial < spread.pearson and spread.partial < -0.9
    assert found["nodes"].partial is None and found["layers"].pearson is None
    assert found["layers"].spearman is None
    assert spread.published == PUBLISHED["degree_variance"][3]


def test_regressors_are_told_size_shape_or_both() -> None:
    found = {(row.regressor, row.features): row for row in predictions("gru", COLUMNS, ACCURACY)}
    assert found["ridge", "all"].r2 > 0.9
    assert 0.1 < found["ridge", "shape"].r2 < found["ridge", "all"].r2
    assert found["forest", "size"].r2 < found["forest", "all"].r2
    assert all(row.r2_low <= row.r2 <= row.r2_high for row in found.values())


def test_the_figure_shows_every_property(tmp_path: Path) -> None:
    figure(correlations("gru", COLUMNS, ACCURACY), tmp_path / "graphs.svg")
    assert (tmp_path / "graphs.svg").stat().st_size > 10_000


def test_graphs_are_trained_once_and_compared(tmp_path: Path) -> None:
    flags = ["--cell", "rnn-tanh", "--graphs", 20, "--steps", 2, "--executor", "serial"]
    folder = ["--run", tmp_path / "run", "--figure", tmp_path / "graphs.png", "--json"]
    first, again = (nas("bench", "graphs", *flags, *folder) for _ in range(2))
    assert first.returncode == 0, first.stderr
    assert again.stdout == first.stdout
    facts = json.loads(first.stdout)
    assert {row["name"] for row in facts["correlations"]} > {"nodes", "density", "layers"}
    assert len(facts["predictions"]) == 9
    assert len(list((tmp_path / "run" / "rnn-tanh" / "trials").iterdir())) == 20


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--cell", "rhm"], "rhm"),
        (["--family", "torus"], "torus"),
        (["--graphs", 3], "graphs"),
    ],
)
def test_wrong_input_is_one_line(flags: list, told: str, tmp_path: Path) -> None:
    ended = nas("bench", "graphs", *flags, "--run", tmp_path / "run")
    assert ended.returncode == 2 and told in ended.stderr
    assert not (tmp_path / "run").exists()
