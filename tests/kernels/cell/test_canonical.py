"""The canonical order of a graph, compared with networkx."""

import random
import time

import networkx
import pytest

from kernels.cell.canonical import canonical_order

Graph = tuple[list[str], list[tuple[int, ...]], list[bool]]


def drawn(rng: random.Random, nodes: int) -> Graph:
    """Draw a small graph with many symmetries: few labels and few, sometimes repeated, inputs."""
    labels = [rng.choice("ab") for _ in range(nodes)]
    inputs = [tuple(rng.choices(range(i), k=rng.randint(0, 2))) if i else () for i in range(nodes)]
    return labels, inputs, [label == "b" for label in labels]


def renumbered(graph: Graph, rng: random.Random) -> Graph:
    """Renumber the graph, keeping nodes after their inputs, and shuffle unordered inputs."""
    labels, inputs, ordered = graph
    left, order = list(range(len(labels))), []
    while left:
        ready = [n for n in left if all(i in order for i in inputs[n])]
        order.append(rng.choice(ready))
        left.remove(order[-1])
    place = {node: i for i, node in enumerate(order)}
    read = [[place[i] for i in inputs[n]] for n in order]
    for numbers, node in zip(read, order, strict=True):
        if not ordered[node]:
            rng.shuffle(numbers)
    return [labels[n] for n in order], [tuple(r) for r in read], [ordered[n] for n in order]


def described(graph: Graph) -> list[tuple[str, tuple[int, ...]]]:
    labels, inputs, ordered = graph
    order = canonical_order(labels, inputs, ordered)
    place = {node: i for i, node in enumerate(order)}
    read = {n: [place[i] for i in inputs[n]] for n in order}
    return [(labels[n], tuple(read[n] if ordered[n] else sorted(read[n]))) for n in order]


def isomorphic(first: Graph, second: Graph) -> bool:
    def as_networkx(graph: Graph) -> networkx.MultiDiGraph:
        made = networkx.MultiDiGraph()
        for node, (label, read, in_order) in enumerate(zip(*graph, strict=True)):
            made.add_node(node, label=label)
            for place, source in enumerate(read):
                made.add_edge(source, node, place=place if in_order else 0)
        return made

    return networkx.is_isomorphic(
        as_networkx(first),
        as_networkx(second),
        node_match=lambda a, b: a["label"] == b["label"],
        edge_match=lambda a, b: (
            sorted(e["place"] for e in a.values()) == sorted(e["place"] for e in b.values())
        ),
    )


def test_renumbered_graphs_have_the_same_description() -> None:
    rng = random.Random(0)
    for _ in range(200):
        graph = drawn(rng, rng.randint(2, 9))
        assert described(renumbered(graph, rng)) == described(graph)


def test_descriptions_are_equal_exactly_when_graphs_are_isomorphic() -> None:
    rng = random.Random(1)
    for nodes in (3, 4):
        graphs = [drawn(rng, nodes) for _ in range(80)]
        same = 0
        for i, first in enumerate(graphs):
            for second in graphs[:i]:
                expected = isomorphic(first, second)
                assert (described(first) == described(second)) == expected
                same += expected
        assert same > 5


def test_a_node_comes_after_the_nodes_it_reads() -> None:
    rng = random.Random(2)
    for _ in range(100):
        labels, inputs, ordered = drawn(rng, 8)
        order = canonical_order(labels, inputs, ordered)
        assert sorted(order) == list(range(8))
        assert all(order.index(i) < order.index(n) for n in range(8) for i in inputs[n])


@pytest.mark.parametrize("rings", [False, True])
def test_many_equal_branches_do_not_take_factorial_time(rings: bool) -> None:
    """Twelve branches of two nodes; in a ring, each node reads two neighbours' first nodes."""
    second = [(i, (i + 1) % 12) if rings else (i,) for i in range(12)]
    labels = [*["x"] * 12, *["tanh"] * 12, "sum"]
    inputs = [*[()] * 12, *second, tuple(range(12, 24))]
    started = time.perf_counter()
    graph = (labels, inputs, [False] * 25)
    first = described(graph)
    assert time.perf_counter() - started < 5
    assert described(renumbered(graph, random.Random(0))) == first
