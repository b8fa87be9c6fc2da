"""A student: a teacher without some of its layers and channels, with the teacher's weights."""

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import nn

from compress.structure.channels import untried_graph_of
from compress.structure.graph import Graph, Group
from compress.structure.narrow import narrowed, replace_module
from compress.structure.networks import copied
from compress.structure.recurrent_layers import drop_layers
from compress.structure.trace import Blocks


class Skipped(nn.Module):
    """Takes the place of a removed layer and returns its first input.

    The numbers and names that the layer and its modules held can still be read.
    """

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        own = set(vars(self))
        self.__dict__.update({k: v for k, v in _held(layer).items() if k not in own})

    def forward(self, *inputs: Any, **named: Any) -> Any:
        return inputs[0] if inputs else next(iter(named.values()))


def _held(layer: nn.Module) -> dict[str, Any]:
    """Return a layer's plain attributes, without its tensors."""
    plain = {
        name: value
        for name, value in vars(layer).items()
        if not name.startswith("_") and not callable(value) and not isinstance(value, torch.Tensor)
    }
    return plain | {n: SimpleNamespace(**_held(inner)) for n, inner in layer.named_children()}


def student(
    teacher: nn.Module,
    example: Any,
    removed: Iterable[str],
    widths: Mapping[str, int],
    fresh: torch.Generator | None = None,
) -> nn.Module:
    """Return the teacher without the removed modules, its groups of channels narrowed to `widths`.

    example: an input `[B, …]`, a tuple of inputs, or a dictionary of them; only shapes matter.
    removed: paths of modules whose output has the shape of their input.
    widths: number of channels to keep by one of the group's makers; the largest weights stay.
    fresh: draws all weights again, as N2N does (Ashok et al. 2018,
        https://arxiv.org/abs/1709.06030, section 3.2); None to inherit the teacher's.
    Raises `CannotTrace`, and `ValueError` for a path or width that does not exist.
    """
    smaller = narrowing(teacher, example, removed)(widths)
    if fresh is not None:
        draw_weights(smaller, fresh)
    return smaller


def narrowing(
    teacher: nn.Module, example: Any, removed: Iterable[str]
) -> Callable[[Mapping[str, int]], nn.Module]:
    """Return what makes students without these modules, of any widths; see `student`."""
    smaller = without(teacher, removed)

    @cache
    def followed() -> tuple[Graph, np.ndarray]:
        graph = untried_graph_of(smaller, example)
        return graph, channel_norms(smaller, graph)

    def make(widths: Mapping[str, int]) -> nn.Module:
        return _with_widths(smaller, *followed(), widths) if widths else copied(smaller)

    return make


def _with_widths(
    model: nn.Module, graph: Graph, norms: np.ndarray, widths: Mapping[str, int]
) -> nn.Module:
    wanted: dict[int, int] = {}
    for maker, width in widths.items():
        index = next((i for i, g in enumerate(graph.groups) if maker in g.makers), None)
        if index is None:
            raise ValueError(f"the channels that {maker} makes cannot be changed")
        wanted[index] = width
    gone = [part for i, width in wanted.items() for part in dropped(graph.groups[i], width, norms)]
    return narrowed(model, graph, graph.left(gone))


def dropped(group: Group, width: int, norms: np.ndarray) -> list[np.ndarray]:
    """Return, for each part of a group, the roots to remove: those of the smallest norms."""
    if not 1 <= width <= group.width:
        raise ValueError(f"{group.makers[0]} cannot have {width} of {group.width} channels")
    return [
        part[np.argsort(-norms[part], kind="stable")[group.kept_of(part, width) :]]
        for part in group.parts
    ]


def without(teacher: nn.Module, removed: Iterable[str]) -> nn.Module:
    """Return a copy of the network without these modules and recurrent layers (`PATH:NUMBER`)."""
    smaller = copied(teacher)
    remove(smaller, removed)
    return smaller


def remove(model: nn.Module, removed: Iterable[str]) -> None:
    """Remove modules and recurrent layers from a network in place; see `without`."""
    layers: dict[str, set[int]] = {}
    for path in removed:
        name, _, layer = path.partition(":")
        try:
            module = model.get_submodule(name)
        except AttributeError:
            raise ValueError(f"the teacher has no module {path}") from None
        if layer:
            layers.setdefault(name, set()).add(int(layer))
        else:
            replace_module(model, path, Skipped(module).train(module.training))
    for path, numbers in layers.items():
        recurrent = model.get_submodule(path)
        if not isinstance(recurrent, nn.RNNBase):
            raise ValueError(f"{path} of the teacher has no layers that could be removed")
        drop_layers(recurrent, frozenset(numbers))


def channel_norms(model: nn.Module, graph: Graph) -> np.ndarray:
    """Return the saliency of each root: the squared norms of all weights of its channel.

    The norms of each weight are scaled to a mean of one and summed over the group (Fang et al.
    2023, https://arxiv.org/abs/2301.12900, section 3.3).
    """
    total = np.zeros(len(graph.roots))
    weights = dict(model.named_parameters())
    for name, axes in graph.trace.axes.items():
        if name not in weights or (weights[name].dim() < 2 and _is_bias(name)):
            continue
        squares = weights[name].detach().double().square().cpu()
        for axis, labels in enumerate(axes):
            if labels is None:
                continue
            norms, labels = _norms(squares, axis, labels)
            np.add.at(total, graph.roots[labels], norms / max(norms.mean(), 1e-12))
    return total


def _is_bias(name: str) -> bool:
    return name.rpartition(".")[2].startswith("bias")


def _norms(squares: torch.Tensor, axis: int, labels: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the sum over each place along an axis, and the labels of the places."""
    if isinstance(labels, Blocks):
        blocks = squares.unflatten(0, (len(labels.labels), -1)).flatten(3).sum((1, 3))
        return blocks.flatten().numpy(), labels.labels.ravel()
    return squares.movedim(axis, 0).reshape(len(labels), -1).sum(1).numpy(), labels


def draw_weights(model: nn.Module, generator: torch.Generator) -> None:
    """Reinitialise all weights by each module's own `reset_parameters`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**31, (1,), generator=generator)))
        for module in model.modules():
            reset = getattr(module, "reset_parameters", None)
            if callable(reset):
                reset()
