"""Finds the channels of a network that must change together, by the rules of its operations."""

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
    """The channels of a network and how they depend on each other.

    trace: the labels of every parameter.
    roots: for each label, the channel that it is removed with.
    kept: the reason why a layer is kept whole, by path.
    """

    trace: Trace
    groups: tuple[Group, ...]
    roots: np.ndarray
    kept: Mapping[str, str]

    def left(self, gone: Iterable[np.ndarray]) -> np.ndarray:
        """Return, for each label, whether it is left once these roots are removed."""
        left = np.ones(len(self.roots), dtype=bool)
        for roots in gone:
            left[roots] = False
        return left[self.roots]


def untried_graph_of(model: nn.Module, example: Any) -> Graph:
    """Return the graph that the rules give, without trying its groups."""
    if isinstance(model, torch.jit.ScriptModule):
        raise CannotTrace(
            "a TorchScript network cannot be changed: pass the module it was made from"
        )
    try:
        trace = traced(copied(model), example, RULES, LEAVES)
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise CannotTrace(
            f"{type(model).__name__} cannot be run on the example: {reason}"
        ) from error
    groups, roots, kept = grouped(trace)
    return Graph(trace, groups, roots, kept)
