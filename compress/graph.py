"""The graph of a network: its layers, and which of their channels must change together."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from compress.follow import Follower, Layer
from compress.place_channels import PlaceChannels


class CannotTrace(ValueError):
    """The network as a whole cannot be followed; the message says where and why."""


@dataclass(frozen=True)
class Group:
    """Channels that are kept or taken away together.

    makers: paths of the layers that make them, in the order of the calls.
    parts: roots of the channels; every part must keep the same number.
    """

    makers: tuple[str, ...]
    parts: tuple[np.ndarray, ...]

    @property
    def width(self) -> int:
        return len(self.parts[0])


@dataclass(frozen=True)
class Graph:
    """layers: in the order of the calls. roots: of every label. opaque: path → why it could not
    be traced; such modules are kept as they are."""

    layers: tuple[Layer, ...]
    groups: tuple[Group, ...]
    roots: np.ndarray
    opaque: Mapping[str, str]


def graph_of(model: nn.Module, example: Tensor) -> Graph:
    """The graph of a network, by tracing it with torch.fx.

    example: an input `[B, …]`, of which only the shape matters.
    Raises `CannotTrace` when the outermost forward cannot be traced.
    """
    opaque: dict[str, str] = {}
    while True:
        tracer = _Tracer(opaque)
        defaults = {
            name: parameter.default
            for name, parameter in inspect.signature(model.forward).parameters.items()
            if parameter.default is not parameter.empty
        }
        try:
            traced = fx.GraphModule(model, tracer.trace(model, concrete_args=defaults or None))
            break
        except Exception as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            where = tracer.failed_in
            if not where or where in opaque:
                raise CannotTrace(
                    f"{where or type(model).__name__} cannot be traced: {reason}"
                ) from error
            opaque[where] = reason
    follower = Follower(traced)
    was_training = model.training
    traced.eval()
    with torch.no_grad():
        follower.run(example)
    model.train(was_training)
    roots = follower.labels.roots()
    groups = _groups(follower.layers, roots, follower.labels.fixed())
    return Graph(tuple(follower.layers), groups, roots, opaque)


class _Tracer(fx.Tracer):
    """Looks into every module but those of torch.nn and those that could not be traced.

    failed_in: path of the innermost module in which tracing failed.
    """

    def __init__(self, opaque: Mapping[str, str]) -> None:
        super().__init__()
        self.opaque = opaque
        self.failed_in = ""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        leaf = isinstance(m, PlaceChannels) or module_qualified_name in self.opaque
        return leaf or super().is_leaf_module(m, module_qualified_name)

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        try:
            return super().call_module(m, forward, args, kwargs)
        except Exception:
            self.failed_in = self.failed_in or self.path_of_module(m)
            raise


def _groups(layers: list[Layer], roots: np.ndarray, fixed: frozenset[int]) -> tuple[Group, ...]:
    """Makers of common channels, together; those with a channel that must stay are left out."""
    groups: list[Group] = []
    for layer in (layer for layer in layers if layer.is_maker):
        parts = tuple(roots[made] for made in layer.makes)
        common = [g for g in groups if np.isin(np.concatenate(g.parts), parts).any()]
        groups = [g for g in groups if not any(g is c for c in common)]
        makers = [maker for g in common for maker in g.makers]
        if common:
            if len(parts) > 1 or any(len(g.parts) > 1 for g in common):
                fixed |= set(np.concatenate(parts).tolist())  # added to a recurrent layer's states
            every = [part for g in common for part in g.parts]
            parts = (np.unique(np.concatenate([*every, *parts])),)
        groups.append(Group((*makers, layer.path), parts))
    return tuple(g for g in groups if not fixed & set(np.concatenate(g.parts).tolist()))
