"""The search space of recurrent networks wired like random graphs."""

from typing import TYPE_CHECKING, cast

from networkx import DiGraph

from kernels.cell.spec import CellSpec
from kernels.cell.zoo import ZOO
from search_spaces.architecture import Architecture
from search_spaces.decisions import Decisions
from search_spaces.random_graph.graphs import FAMILIES, Parents, decide_graph, layers_of
from search_spaces.random_graph.properties import properties_of
from search_spaces.space import ModelShape, Space

if TYPE_CHECKING:
    import torch

    from search_spaces.random_graph.model import GraphNetwork


class RandomGraphSpace(Space):
    """Graphs of four families, and the cell of their units.

    nodes: fewest and most. cells: names in the zoo. families: names of graph families.
    published: use the sizes of Darji 2024, see `GraphNetwork`.
    Raises `ValueError` for invalid values.
    """

    name = "random-graph"

    def __init__(
        self,
        nodes: tuple[int, int] = (10, 50),
        cells: tuple[str, ...] = ("rnn-tanh", "rnn-relu", "gru", "lstm"),
        families: tuple[str, ...] = tuple(FAMILIES),
        published: bool = False,
    ) -> None:
        match nodes:
            case [int(fewest), int(most)] if 9 <= fewest <= most:
                self.nodes = fewest, most
            case _:
                raise ValueError(
                    f"nodes must be (fewest, most) with 9 <= fewest <= most, not {nodes}"
                )
        self.cells, self.families = tuple(cells), tuple(families)
        for kind, asked, known in (("cell", self.cells, ZOO), ("family", self.families, FAMILIES)):
            unknown = [name for name in asked if name not in known]
            if unknown or not asked:
                problem = f"unknown {kind} {', '.join(unknown)}" if unknown else f"no {kind} given"
                raise ValueError(f"{problem}; choose from {', '.join(known)}")
        self.published = published

    def decide(self, decisions: Decisions) -> Architecture:
        """Decide a cell, then a graph; the spec holds every node's parents, layer by layer."""
        cell = decisions.choose("cell", self.cells)
        parents = decide_graph(decisions.scope("graph"), *self.nodes, self.families)
        return Architecture(self.name, (cell, parents))

    def build(
        self, architecture: Architecture, shape: ModelShape, generator: "torch.Generator"
    ) -> "GraphNetwork":
        from search_spaces.random_graph.model import GraphNetwork  # imports torch

        cell, parents = cast(tuple[str, Parents], architecture.spec)
        described = CellSpec.from_recipe(ZOO[cell])
        return GraphNetwork(described, parents, shape, generator, self.published)

    def properties(self, architecture: Architecture) -> dict[str, float]:
        """Return the graph's properties, recorded with each candidate; see `properties_of`."""
        return properties_of(cast(tuple[str, Parents], architecture.spec)[1])

    def graph(self, architecture: Architecture) -> DiGraph:
        """Return the graph for drawing."""
        _, parents = cast(tuple[str, Parents], architecture.spec)
        drawn = DiGraph()
        for node, layer in enumerate(layers_of(parents)):
            drawn.add_node(node, label=str(node), kind=f"layer {layer}", state=None)
        drawn.add_edges_from((p, node) for node, read in enumerate(parents) for p in read)
        return drawn
