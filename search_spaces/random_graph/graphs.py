"""Random graphs, made acyclic and divided into layers."""

from collections.abc import Callable, Sequence
from typing import Any

import networkx as nx
import numpy as np

from search_spaces.decisions import Decisions, InvalidArchitecture

Parents = tuple[tuple[int, ...], ...]  # for each node; parents have lower numbers

ROUNDS = 4  # colour refinement rounds


def watts_strogatz(decisions: Decisions, nodes: int, seed: int) -> nx.Graph:
    """Draw a ring of neighbours with some rewired edges (Watts and Strogatz 1998)."""
    neighbours = decisions.choose("neighbours", (2, 4, 6, 8))
    rewiring = decisions.choose("rewiring", (0.1, 0.25, 0.5, 1.0))
    return nx.connected_watts_strogatz_graph(nodes, neighbours, rewiring, tries=100, seed=seed)


def barabasi_albert(decisions: Decisions, nodes: int, seed: int) -> nx.Graph:
    """Draw a graph whose new nodes prefer well-connected nodes (Barabási and Albert 1999)."""
    return nx.barabasi_albert_graph(nodes, decisions.integer("links", 1, 5), seed=seed)


def erdos_renyi(decisions: Decisions, nodes: int, seed: int) -> nx.Graph:
    """Draw every edge with the same probability (Gilbert 1959)."""
    return nx.gnp_random_graph(nodes, decisions.choose("density", (0.05, 0.1, 0.2, 0.3)), seed=seed)


def layered(decisions: Decisions, nodes: int, seed: int) -> nx.Graph:
    """Draw layers of nodes; nodes of different layers are linked with the same probability."""
    layers = decisions.integer("layers", 2, 6)
    density = decisions.choose("density", (0.05, 0.1, 0.2, 0.3))
    rng = np.random.default_rng(seed)
    place = np.sort(rng.integers(layers, size=nodes))
    apart = (place[:, None] < place[None, :]) & (rng.random((nodes, nodes)) < density)
    graph = nx.Graph(list(zip(*map(np.ndarray.tolist, np.nonzero(apart)), strict=True)))
    graph.add_nodes_from(range(nodes))
    return graph


FAMILIES: dict[str, Callable[[Decisions, int, int], nx.Graph]] = {
    "watts-strogatz": watts_strogatz,
    "barabasi-albert": barabasi_albert,
    "erdos-renyi": erdos_renyi,
    "layered": layered,
}


def decide_graph(
    decisions: Decisions, fewest: int, most: int, families: Sequence[str] = tuple(FAMILIES)
) -> Parents:
    """Ask for a family, its parameters and a seed; edges go from lower to higher node numbers.

    Raises `InvalidArchitecture` for a graph without edges.
    """
    family = decisions.choose("family", tuple(families))
    nodes = decisions.integer("nodes", fewest, most)
    seed = decisions.integer("seed", 0, 999)
    try:
        graph = FAMILIES[family](decisions.scope(family), nodes, seed)
    except nx.NetworkXError as error:
        raise InvalidArchitecture(f"cannot draw a {family} graph: {error}") from None
    if not graph.number_of_edges():
        raise InvalidArchitecture("the graph has no edges")
    return canonical(nx.DiGraph((min(e), max(e)) for e in graph.edges()), nodes)


def layers_of(parents: Parents) -> tuple[int, ...]:
    """Return each node's layer: 0 for a source, otherwise one more than its deepest parent's."""
    layers: list[int] = []
    for read in parents:
        layers.append(1 + max((layers[node] for node in read), default=-1))
    return tuple(layers)


def canonical(graph: nx.DiGraph, nodes: int) -> Parents:
    """Reorder the nodes, layer by layer, so that the order depends only on the wiring, as far as
    colour refinement (Weisfeiler and Leman 1968) distinguishes nodes."""
    graph.add_nodes_from(range(nodes))
    order = list(nx.topological_sort(graph))
    layer: dict[int, int] = {}
    for node in order:
        layer[node] = 1 + max((layer[p] for p in graph.predecessors(node)), default=-1)
    colours: dict[int, Any] = dict(layer)
    for _ in range(ROUNDS):
        seen = {
            node: (
                colours[node],
                tuple(sorted(colours[p] for p in graph.predecessors(node))),
                tuple(sorted(colours[c] for c in graph.successors(node))),
            )
            for node in graph
        }
        ranks = {colour: rank for rank, colour in enumerate(sorted(set(seen.values())))}
        colours = {node: ranks[seen[node]] for node in graph}
    ordered = sorted(graph, key=lambda node: (layer[node], colours[node], node))
    number = {node: i for i, node in enumerate(ordered)}
    return tuple(tuple(sorted(number[p] for p in graph.predecessors(n))) for n in ordered)
