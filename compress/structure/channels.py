"""Which channels of a network must change together, by the rules of its operations."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from compress.structure.groups import Group, grouped
from compress.structure.networks import copied
from compress.structure.operations import RULES
from compress.structure.recurrent import LEAVES
from compress.structure.trace import Trace
from compress.structure.tracing import traced


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
