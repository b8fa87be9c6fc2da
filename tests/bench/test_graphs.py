"""Correlations of graph properties with known accuracies, and training of random graphs."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from kernels.cell.layer import set_backend
from nas.bench.graph_training import SETTINGS, TrainedGraph, train_together, trained_graphs
from nas.bench.graphs import PUBLISHED, correlations, figure, predictions
from nas.core.errors import BadInput
from nas.core.task import Measured
from nas.tasks.reber import load_reber
from nas.training import train_rung
from search_spaces.architecture import Architecture
from search_spaces.genome import sample
from search_spaces.random_graph.space import RandomGraphSpace
from search_spaces.random_graph.together import GraphNetworks
from search_spaces.space import ModelShape, ModelSize
from tests.jobs.command import nas

rng = np.random.default_rng(0)
NODES = rng.integers(10, 51, 120).astype(float)
SPREAD = rng.random(120)
PROPERTIES = {
    "nodes": NODES,
    "edges": NODES * 3 + rng.normal(size=120),
    "degree_variance": SPREAD,
    "layers": np.full(120, 4.0),
}
ACCURACY = 0.5 + 0.004 * NODES - 0.2 * SPREAD + 0.01 * rng.normal(size=120)
GRAPHS = [
    TrainedGraph(
        Architecture("random-graph", ()),
        {name: float(values[i]) for name, values in PROPERTIES.items()},
        int(NODES[i] ** 2),
        0.1,
        float(ACCURACY[i]),
    )
    for i in range(120)
]


def test_partial_correlations_exclude_the_size() -> None:
    found = {row.name: row for row in correlations("gru", GRAPHS)}
    edges, spread = found["edges"], found["degree_variance"]
    assert edges.pearson > 0.6 and abs(edges.partial) < 0.3
    assert edges.partial_low < 0 < edges.partial_high
    assert spread.pearson_low < spread.pearson < spread.pearson_high < 0
    assert spread.partial < spread.pearson and spread.partial < -0.9
    assert found["nodes"].partial is None and found["layers"].pearson is None
    assert found["layers"].spearman is None
    assert spread.published == PUBLISHED["degree_variance"][3]


def test_regressors_use_size_shape_or_both() -> None:
    found = {(row.regressor, row.features): row for row in predictions("gru", GRAPHS)}
    assert found["ridge", "all"].r2 > 0.9
    assert 0.1 < found["ridge", "shape"].r2 < found["ridge", "all"].r2
    assert found["forest", "size"].r2 < found["forest", "all"].r2
    assert all(row.r2_low <= row.r2 <= row.r2_high for row in found.values())


def test_the_figure_shows_every_property(tmp_path: Path) -> None:
    figure(correlations("gru", GRAPHS), tmp_path / "graphs.svg")
    assert (tmp_path / "graphs.svg").stat().st_size > 10_000


def test_graphs_are_trained_and_compared(tmp_path: Path) -> None:
    flags = ["--cell", "rnn-tanh", "--graphs", 20, "--steps", 2, "--seed", 3]
    ended = nas("bench", "graphs", *flags, "--figure", tmp_path / "graphs.png", "--json")
    assert ended.returncode == 0, ended.stderr
    facts = json.loads(ended.stdout)
    assert {row["name"] for row in facts["correlations"]} > {"nodes", "density", "layers"}
    assert len(facts["predictions"]) == 9 and (tmp_path / "graphs.png").exists()
    graphs = facts["graphs"]["rnn-tanh"]
    assert len({json.dumps(graph["architecture"]) for graph in graphs}) == 20
    assert all(0 < graph["metric"] < 1 < graph["properties"]["nodes"] for graph in graphs)


@pytest.mark.parametrize("name", ["gru", "lstm", "rnn-tanh"])
def test_networks_trained_together_equal_networks_trained_alone(name: str) -> None:
    """Train each network by itself, layer by layer, and compare."""
    task = load_reber(strings=200)
    space, shape = RandomGraphSpace(cells=(name,)), ModelShape(task.shape, ModelSize(8, 40))
    draws = np.random.default_rng(0)
    networks = [
        space.build(sample(space, draws)[0], shape, torch.Generator().manual_seed(i))
        for i in range(3)
    ]
    together = train_together(GraphNetworks(networks), task, 4, 7)
    for network, measured in zip(networks, together, strict=True):
        set_backend(network, "reference")
        alone = train_rung(network, task, SETTINGS, 7, 4).validation
        assert measured.loss == pytest.approx(alone.loss, abs=1e-4)


def test_networks_that_cannot_train_together_are_refused() -> None:
    task = load_reber(strings=50)
    built = [
        RandomGraphSpace(cells=(cell,)).build(
            graph, ModelShape(task.shape, size), torch.Generator()
        )
        for cell, size in (
            ("gru", ModelSize()),
            ("lstm", ModelSize()),
            ("gru", ModelSize(dropout=0.1)),
        )
        for graph in [sample(RandomGraphSpace(cells=(cell,)), np.random.default_rng(0))[0]]
    ]
    with pytest.raises(ValueError, match="the same cell"):
        GraphNetworks(built[:2])
    with pytest.raises(ValueError, match="set dropout to 0"):
        GraphNetworks(built[::2])


def test_networks_that_diverge_are_left_out(monkeypatch) -> None:
    reached = [Measured(math.nan, 0.5), *[Measured(0.1, 0.9)] * 5]
    monkeypatch.setattr("nas.bench.graph_training.train_together", lambda *_: reached)
    graphs = list(trained_graphs(RandomGraphSpace(cells=("gru",)), load_reber(strings=50), 6, 1, 0))
    assert len(graphs) == 5 and all(graph.metric == 0.9 for graph in graphs)


def test_a_missing_compiler_is_reported(monkeypatch) -> None:
    monkeypatch.setattr("search_spaces.random_graph.together.wired_loops", lambda *_: None)
    with pytest.raises(BadInput, match="install a C compiler"):
        next(trained_graphs(RandomGraphSpace(), load_reber(strings=50), 20, 1, 0))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--family", "torus"], "torus"),
        (["--graphs", 3], "graphs"),
        (["--task", "python-text"], "python-text"),
        (["--figure", "none/here.png"], "none/here.png cannot be written"),
        (["--figure", "graphs.docx"], "graphs.docx: end the figure's name in .png"),
    ],
)
def test_bad_input_gives_one_line(flags: list, message: str) -> None:
    ended = nas("bench", "graphs", *flags)
    assert ended.returncode == 2 and message in ended.stderr.splitlines()[-1]
    assert not ended.stdout
