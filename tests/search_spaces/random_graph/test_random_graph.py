"""Random graphs as data, and as recurrent networks."""

from unittest.mock import patch

import networkx as nx
import numpy as np
import pytest
import torch

from kernels.cell.layer import set_backend
from search_spaces.architecture import Architecture
from search_spaces.genome import sample
from search_spaces.random_graph.graphs import FAMILIES, canonical, layers_of
from search_spaces.random_graph.model import WiredRNN
from search_spaces.random_graph.properties import properties_of
from search_spaces.random_graph.space import RandomGraphSpace
from search_spaces.space import DataShape, ModelShape, ModelSize

SPACE = RandomGraphSpace()
DIAMOND = ((), (), (0, 1), (0,), (1, 2, 3))  # two sources, node 4 skips a layer to read node 1
TOKENS = ModelShape(DataShape("tokens", 20, 2, every_step=False), ModelSize(8, 60))


def test_layers_follow_the_longest_path() -> None:
    assert layers_of(DIAMOND) == (0, 0, 1, 1, 2)


def test_every_family_is_drawn_and_its_edges_go_forward() -> None:
    rng, seen = np.random.default_rng(0), set()
    for _ in range(60):
        architecture, answers = sample(SPACE, rng)
        _, parents = architecture.spec
        seen.add(answers["graph/family"])
        assert 10 <= len(parents) <= 50 and any(parents)
        assert all(p < node for node, read in enumerate(parents) for p in read)
        assert list(layers_of(parents)) == sorted(layers_of(parents))
    assert seen == set(FAMILIES)


def test_renamed_nodes_give_the_same_graph() -> None:
    rng = np.random.default_rng(1)
    for seed in range(20):
        graph = nx.gnp_random_graph(14, 0.25, seed=seed)
        directed = nx.DiGraph((min(e), max(e)) for e in graph.edges())
        directed.add_nodes_from(range(14))
        renamed = nx.relabel_nodes(directed, dict(enumerate(rng.permutation(14).tolist())))
        assert canonical(renamed, 14) == canonical(directed, 14)


def test_the_properties_of_a_path_are_as_computed_by_hand() -> None:
    """The path has four nodes."""
    found = properties_of(((), (0,), (1,), (2,)))
    assert found["layers"] == found["nodes"] == 4 and found["edges"] == found["diameter"] == 3
    assert found["source_nodes"] == found["sink_nodes"] == 1
    assert found["density"] == 0.5
    assert found["average_shortest_path"] == pytest.approx(10 / 6)
    assert found["eccentricity_mean"] == 2.5 and found["eccentricity_variance"] == 0.25
    assert found["degree_mean"] == 1.5 and found["degree_deviation"] == 0.5
    assert found["closeness_mean"] == pytest.approx((0.5 + 0.75 + 0.75 + 0.5) / 4)
    assert found["node_betweenness_mean"] == pytest.approx((0 + 2 / 3 + 2 / 3 + 0) / 4)
    assert found["edge_betweenness_mean"] == pytest.approx((3 + 4 + 3) / 6 / 3)
    assert len(found) == 23


def test_units_read_exactly_their_edges_sources() -> None:
    """Checks the gradient of each unit with respect to its layer's inputs, gate by gate."""
    generator = torch.Generator().manual_seed(0)
    wiring = torch.rand(6, 5, generator=generator) < 0.5
    for name in ("gru", "lstm", "rnn-tanh"):
        built = SPACE.build(_architecture(name, DIAMOND), TOKENS, torch.Generator().manual_seed(0))
        layer = WiredRNN(built.layers[0].cell, wiring, 0.0, generator)
        given = torch.randn(1, 1, 5, generator=generator, requires_grad=True)
        for unit in range(6):
            (read,) = torch.autograd.grad(layer(given)[0][0, 0, unit], given)
            assert torch.equal(read[0, 0] != 0, wiring[unit])


def test_every_gate_has_the_same_wiring() -> None:
    """Darji's code repeated rows, so gates got each other's masks; ours does not."""
    built = SPACE.build(_architecture("lstm", DIAMOND), TOKENS, torch.Generator().manual_seed(0))
    for layer in built.layers[1:]:
        gates = layer.weights().on_x != 0
        assert all(torch.equal(gate, gates[0]) for gate in gates)
        assert torch.equal(gates[0], layer.wiring.bool())
    skipping = built.layers[2].wiring[0].view(4, -1)[:, 0]  # of the earlier nodes 0 to 3
    assert skipping.tolist() == [0, 1, 1, 1]


def test_graphs_of_all_sizes_have_about_the_same_width() -> None:
    for nodes in (10, 20, 30):
        path = tuple((n - 1,) if n else () for n in range(nodes))
        built = SPACE.build(_architecture("gru", path), TOKENS, torch.Generator().manual_seed(0))
        assert sum(layer.hidden_size for layer in built.layers) == 60


def test_padding_is_not_read() -> None:
    built = SPACE.build(_architecture("gru", DIAMOND), TOKENS, torch.Generator().manual_seed(0))
    tokens, lengths = torch.randint(20, (3, 9)), torch.tensor([4, 9, 6])
    answers = built(tokens, None, lengths).answers
    for i, length in enumerate(lengths.tolist()):
        alone = built(tokens[i : i + 1, :length]).answers
        torch.testing.assert_close(answers[i : i + 1], alone)


def test_every_step_can_have_an_answer_and_the_state_continues() -> None:
    shape = ModelShape(DataShape("tokens", 20, 20, every_step=True), ModelSize(8, 30))
    built = SPACE.build(_architecture("lstm", DIAMOND), shape, torch.Generator().manual_seed(0))
    tokens = torch.randint(20, (2, 8))
    whole = built(tokens).answers
    first = built(tokens[:, :5])
    second = built(tokens[:, 5:], first.state)
    torch.testing.assert_close(torch.cat([first.answers, second.answers], 1), whole)


@pytest.mark.parametrize("name", ["rnn-relu", "lstm"])
@pytest.mark.parametrize("published", [False, True])
def test_all_layers_at_once_equal_the_layers_one_by_one(name: str, published: bool) -> None:
    """Compares logits, states and gradients, in inference and in training."""
    space = RandomGraphSpace(cells=(name,), published=published)
    shape = ModelShape(DataShape("tokens", 20, 20, every_step=True), ModelSize(8, 60))
    architecture, _ = sample(space, np.random.default_rng(4))
    built = space.build(architecture, shape, torch.Generator().manual_seed(0)).double()
    tokens, lengths = torch.randint(20, (5, 7)), torch.tensor([7, 0, 3, 7, 1])
    found = []
    for backend in ("auto", "reference"):
        set_backend(built, backend)
        with patch.object(WiredRNN, "forward", autospec=True, side_effect=WiredRNN.forward) as one:
            first = built(tokens, None, lengths)
            second = built(tokens, first.state, lengths)
        assert one.called == (backend == "reference")
        grads = torch.autograd.grad(second.answers.square().sum(), list(built.parameters()))
        with torch.inference_mode():
            assert torch.allclose(built(tokens, None, lengths).answers, first.answers)
        found.append([first.answers, second.answers, *grads, *second.state[-1]])
    for ours, expected in zip(*found, strict=True):
        torch.testing.assert_close(ours, expected)


@pytest.mark.parametrize("backend", ["auto", "reference"])
def test_bad_shapes_are_refused_with_every_backend(backend: str) -> None:
    built = SPACE.build(_architecture("gru", DIAMOND), TOKENS, torch.Generator().manual_seed(0))
    set_backend(built, backend)
    tokens = torch.randint(20, (3, 9))
    for lengths in ([4, 9], [4, 10, 6], [4, -1, 6]):
        with pytest.raises(ValueError, match="lengths must be 3 numbers from 0 to 9"):
            built(tokens, None, torch.tensor(lengths))
    with pytest.raises(ValueError, match="state is"):
        built(tokens[:2], built(tokens).state)
    with pytest.raises(ValueError, match="need at least 1 step"):
        built(tokens[:, :0])


def test_layers_with_hooks_run_one_by_one() -> None:
    built = SPACE.build(_architecture("gru", DIAMOND), TOKENS, torch.Generator().manual_seed(0))
    tokens, seen = torch.randint(20, (3, 9)), []
    expected = built(tokens).answers
    for layer in built.layers:
        layer.register_forward_hook(lambda *given: seen.append(given[-1]))
    torch.testing.assert_close(built(tokens).answers, expected)
    assert len(seen) == len(built.layers)


def test_weights_are_dropped_only_in_training() -> None:
    size = ModelSize(8, 30, weight_drop=0.5)
    shape = ModelShape(TOKENS.data, size)
    built = SPACE.build(_architecture("gru", DIAMOND), shape, torch.Generator().manual_seed(0))
    tokens = torch.randint(20, (3, 9))
    assert not torch.equal(built(tokens).answers, built(tokens).answers)
    built.eval()
    assert torch.equal(built(tokens).answers, built(tokens).answers)


@pytest.mark.parametrize(
    "options", [{"nodes": (5, 10)}, {"nodes": (20, 10)}, {"cells": ("none",)}, {"cells": ()}]
)
def test_what_is_no_space_is_refused(options: dict) -> None:
    with pytest.raises(ValueError, match=r"nodes must be|unknown cell none|no cell given"):
        RandomGraphSpace(**options)


def _architecture(cell: str, parents: tuple) -> Architecture:
    return Architecture(SPACE.name, (cell, parents))


def test_published_sizes_follow_the_graph() -> None:
    space = RandomGraphSpace(cells=("gru",), families=("barabasi-albert",), published=True)
    architecture, answers = sample(space, np.random.default_rng(0))
    assert answers["graph/family"] == "barabasi-albert"
    model = space.build(architecture, TOKENS, torch.Generator())
    found = space.properties(architecture)
    assert sum(layer.hidden_size for layer in model.layers) == found["nodes"]
    assert model.embedding.embedding_dim == model.layers[0].hidden_size == found["source_nodes"]
    assert model(torch.zeros(3, 7, dtype=torch.long)).answers.shape == (3, 2)
    with pytest.raises(ValueError, match="unknown family torus"):
        RandomGraphSpace(families=("torus",))
