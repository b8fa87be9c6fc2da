"""The graph of a network: which of its channels must change together."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from compress.structure.groups import Group, grouped
from compress.structure.operations import RULES
from compress.structure.recurrent import LEAVES
from compress.structure.tracing import Trace, copied, traced

__all__ = ["CannotTrace", "Graph", "Group", "graph_of", "untried_graph_of"]


class CannotTrace(ValueError):
    """The network cannot be followed; the message says where and why."""


@dataclass(frozen=True)
class Graph:
    """trace: the labels of every parameter. roots: of every label the channel that it goes with.
    kept: why layers are kept whole, by path."""

    trace: Trace
    groups: tuple[Group, ...]
    roots: np.ndarray
    kept: Mapping[str, str]

    def left(self, gone: Iterable[np.ndarray]) -> np.ndarray:
        """Return for each label whether it is left when the channels with these roots are gone."""
        left = np.ones(len(self.roots), dtype=bool)
        for roots in gone:
            left[roots] = False
        return left[self.roots]


def graph_of(model: nn.Module, example: Any) -> Graph:
    """Return the graph of a network, with the groups that a trial showed to be removable.

    example: an input `[B, …]`, a tuple of inputs, or a dictionary of them; only shapes matter.
    Raises `CannotTrace` when the network cannot be run on the example.
    """
    from compress.structure.trial import tried_groups  # it narrows, and so needs graphs

    graph = untried_graph_of(model, example)
    groups, failed = tried_groups(model, example, graph)
    kept = {maker: reason for group, reason in failed for maker in group.makers}
    return replace(graph, groups=groups, kept={**graph.kept, **kept})


def untried_graph_of(model: nn.Module, example: Any) -> Graph:
    """Return the graph of a network as its rules have it, without trying the groups."""
    if isinstance(model, torch.jit.ScriptModule):
        raise CannotTrace("a TorchScript network cannot be changed: give the module it was made of")
    try:
        trace = traced(copied(model), example, RULES, LEAVES)
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise CannotTrace(
            f"{type(model).__name__} cannot be run on the example: {reason}"
        ) from error
    groups, roots, kept = grouped(trace)
    return Graph(trace, groups, roots, kept)
