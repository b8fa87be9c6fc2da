"""The graph of a network: channels that change together, in groups that were tried."""

from dataclasses import replace
from typing import Any

from torch import nn

from compress.structure.channels import CannotTrace, Graph, untried_graph_of
from compress.structure.groups import Group
from compress.structure.trial import tried_groups

__all__ = ["CannotTrace", "Graph", "Group", "graph_of"]


def graph_of(model: nn.Module, example: Any) -> Graph:
    """Return the graph of a network, with the groups that a trial showed to be removable.

    example: an input `[B, …]`, a tuple of inputs, or a dictionary of them; only shapes matter.
    Raises `CannotTrace` when the network cannot be run on the example.
    """
    graph = untried_graph_of(model, example)
    groups, failed = tried_groups(model, example, graph)
    kept = {maker: reason for group, reason in failed for maker in group.makers}
    return replace(graph, groups=groups, kept={**graph.kept, **kept})
