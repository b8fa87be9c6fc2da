"""Draws the graph of an architecture, with layers from left to right."""

import math
from collections import defaultdict

from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch
from networkx import DiGraph, topological_sort

COLOURS = {
    "input": "#dddddd",
    "linear": "#a6cee3",
    "activation": "#fdd49e",
    "elementwise": "#c7e9c0",
}
SWEEPS = 8
COLUMN, ROW = 1.25, 0.75  # inches


def draw(graph: DiGraph, title: str = "") -> Figure:
    """Draw a graph whose nodes have `label`, `kind` and `state` (None or a number)."""
    places = positions(graph)
    columns = 1 + max(x for x, _ in places.values())
    rows = 1 + max(abs(y) for _, y in places.values()) * 2
    occupied = set(places.values())
    edges = [(places[source], places[target]) for source, target in graph.edges]
    bends = [_bend(*edge, occupied) for edge in edges]
    low = -rows / 2 - 0.2
    tops = ((y0 + y1) / 2 + bend for ((_, y0), (_, y1)), bend in zip(edges, bends, strict=True))
    high = max([rows / 2, *tops]) + 0.2
    size = COLUMN * columns + 0.6, ROW * (high - low) + 0.6
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    axes.set_axis_off()
    axes.set_title(title, fontsize=9, loc="left")
    for edge, bend in zip(edges, bends, strict=True):
        axes.add_patch(_arrow(*edge, bend))
    for node, (x, y) in places.items():
        attributes = graph.nodes[node]
        label = attributes["label"]
        if attributes["state"] is not None:
            label += f"\n→ h{attributes['state']}"
        axes.text(
            x,
            y,
            label,
            ha="center",
            va="center",
            fontsize=8,
            zorder=3,
            bbox={
                "boxstyle": "round,pad=0.35",
                "facecolor": COLOURS.get(attributes["kind"], "white"),
                "edgecolor": "black" if attributes["state"] is not None else "#666666",
                "linewidth": 1.6 if attributes["state"] is not None else 0.6,
            },
        )
    axes.set_xlim(-0.6, columns - 0.4)
    axes.set_ylim(low, high)
    return figure


def positions(graph: DiGraph) -> dict[int, tuple[float, float]]:
    """Return each node's place: longest path from an input, and a height that keeps edges short."""
    column: dict[int, int] = {}
    for node in topological_sort(graph):
        column[node] = 1 + max((column[p] for p in graph.predecessors(node)), default=-1)
    layers: dict[int, list[int]] = defaultdict(list)
    for node in sorted(graph.nodes):
        layers[column[node]].append(node)
    height = {n: i - (len(nodes) - 1) / 2 for nodes in layers.values() for i, n in enumerate(nodes)}
    for sweep in range(SWEEPS):
        for layer in sorted(layers, reverse=bool(sweep % 2)):
            neighbours = graph.predecessors if sweep % 2 == 0 else graph.successors
            _reorder(layers[layer], neighbours, height)
    return {node: (float(column[node]), height[node]) for node in graph.nodes}


def _reorder(nodes: list[int], neighbours, height: dict[int, float]) -> None:
    """Sort a layer by the mean height of its neighbours (Sugiyama et al. 1981)."""
    pull = {
        n: sum(height[m] for m in near) / len(near) if (near := list(neighbours(n))) else height[n]
        for n in nodes
    }
    nodes.sort(key=lambda n: (pull[n], n))
    for i, node in enumerate(nodes):
        height[node] = i - (len(nodes) - 1) / 2


def _bend(
    start: tuple[float, float], end: tuple[float, float], occupied: set[tuple[float, float]]
) -> float:
    """Return how far an arrow rises above a straight one, in rows; 0 if that crosses no node."""
    (x0, y0), (x1, y1) = start, end
    crossed = any(
        abs(y0 + (y1 - y0) * (x - x0) / (x1 - x0) - y) < 0.35 for x, y in occupied if x0 < x < x1
    )
    return 0.35 + 0.1 * (x1 - x0) if crossed else 0.0


def _arrow(start: tuple[float, float], end: tuple[float, float], bend: float) -> FancyArrowPatch:
    (x0, y0), (x1, y1) = start, end
    length = math.hypot(COLUMN * (x1 - x0), ROW * (y1 - y0))
    return FancyArrowPatch(
        start,
        end,
        arrowstyle="-|>",
        mutation_scale=9,
        shrinkA=16,
        shrinkB=24,
        linewidth=0.8,
        color="#555555",
        connectionstyle=f"arc3,rad={-2 * ROW * bend / length}",  # its bend is half of rad × length
    )
