"""The graph of a network: its layers, and which of their channels must change together."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from compress.structure.follow import Follower, Layer, tied_modules
from compress.structure.place_channels import PlaceChannels
from kernels.cell.layer import CompiledRNN


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
    be traced, "" for the whole; such modules are kept as they are."""

    layers: tuple[Layer, ...]
    groups: tuple[Group, ...]
    roots: np.ndarray
    opaque: Mapping[str, str]


def graph_of(model: nn.Module, example: Tensor) -> Graph:
    """The graph of a network, by tracing it with torch.fx.

    Where its outermost forward cannot be traced, its parts are, each apart: what lies between them
    is kept as it is, as in transformers, whose feed-forward layers can be narrowed nevertheless.
    example: an input `[B, …]`, of which only the shape matters.
    Raises `CannotTrace` when no part can be traced either.
    """
    was_training = model.training
    model.eval()
    try:
        return _traced(model, (example,))
    except CannotTrace as error:
        parts = list(_parts(model, example))
        if not any(graph.groups for _, graph in parts):
            raise
        return _joined(parts, {"": str(error)})
    finally:
        model.train(was_training)


def _traced(model: nn.Module, inputs: Sequence[Tensor]) -> Graph:
    opaque: dict[str, str] = {}
    while True:
        tracer = _Tracer(opaque)
        given = list(inspect.signature(model.forward).parameters.items())[len(inputs) :]
        defaults = {name: p.default for name, p in given if p.default is not p.empty}
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
    with torch.no_grad():
        follower.run(*inputs)
    roots = follower.labels.roots()
    groups = _groups(follower.layers, roots, follower.labels.fixed())
    return Graph(tuple(follower.layers), groups, roots, opaque)


def _parts(model: nn.Module, example: Tensor) -> Iterator[tuple[str, Graph]]:
    """The outermost modules inside that can be traced, by path; none that shares a weight."""
    tied, given = tied_modules(model), _inputs(model, example)
    found: list[str] = []
    for path, module in model.named_modules():
        below = (path, f"{path}.")
        if any(path.startswith(f"{outer}.") for outer in found) or path not in given:
            continue
        if any(one == below[0] or one.startswith(below[1]) for one in tied):
            continue
        try:
            graph = _traced(module, given[path])
        except CannotTrace:
            continue
        found.append(path)
        yield path, graph


def _inputs(model: nn.Module, example: Tensor) -> dict[str, tuple[Tensor, ...]]:
    """What each module inside is given by its first call, of those that are given tensors only."""
    found: dict[str, tuple[Tensor, ...]] = {}

    def noting(path: str) -> Callable[[nn.Module, tuple, dict], None]:
        def note(_: nn.Module, given: tuple, named: dict) -> None:
            if given and not named and all(isinstance(value, Tensor) for value in given):
                found.setdefault(path, given)

        return note

    hooks = [
        module.register_forward_pre_hook(noting(path), with_kwargs=True)
        for path, module in model.named_modules()
        if path
    ]
    try:
        with torch.no_grad():
            model(example)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _joined(parts: Sequence[tuple[str, Graph]], opaque: Mapping[str, str]) -> Graph:
    """One graph of parts that have no channels in common."""
    layers: list[Layer] = []
    groups: list[Group] = []
    roots: list[np.ndarray] = []
    failed, first = dict(opaque), 0
    for path, graph in parts:
        for layer in graph.layers:
            reads = None if layer.reads is None else layer.reads + first
            makes = tuple(made + first for made in layer.makes)
            layers.append(Layer(_below(path, layer.path), reads, makes))
        for group in graph.groups:
            makers = tuple(_below(path, maker) for maker in group.makers)
            groups.append(Group(makers, tuple(part + first for part in group.parts)))
        failed |= {_below(path, inner): reason for inner, reason in graph.opaque.items()}
        roots.append(graph.roots + first)
        first += len(graph.roots)
    return Graph(tuple(layers), tuple(groups), np.concatenate(roots), failed)


def _below(path: str, inner: str) -> str:
    return f"{path}.{inner}" if inner else path


class _Tracer(fx.Tracer):
    """Looks into every module but those of torch.nn and those that could not be traced.

    failed_in: path of the innermost module in which tracing failed.
    """

    def __init__(self, opaque: Mapping[str, str]) -> None:
        super().__init__()
        self.opaque = opaque
        self.failed_in = ""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        ours = isinstance(m, (PlaceChannels, CompiledRNN))
        leaf = ours or module_qualified_name in self.opaque
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
