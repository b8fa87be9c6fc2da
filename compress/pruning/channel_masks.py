"""Masks that disconnect whole channels and units, so that these can be removed exactly."""

import copy
from typing import Any

import numpy as np
import torch
from torch import nn

from compress.pruning.masks import Masks
from compress.structure.graph import Graph, graph_of
from compress.structure.narrow import narrowed
from compress.structure.place_channels import PlaceChannels
from compress.structure.student import channel_norms


def channels_left(model: nn.Module, example: Any, level: float) -> tuple[Graph, np.ndarray]:
    """Return the graph and, for each label, whether its channel is left, as `narrowed` expects.

    level: share of each group's channels to remove, rounded; those with the smallest norms go
        first, so channels that are already zero do. One channel always stays. Channels that a norm
        averages over stay too: a mask cannot take them out of the average.
    example: an input `[B, …]`, a tuple of inputs, or a dictionary of them; only shapes matter.
    Raises `CannotTrace`, and `ValueError` if no channels can be removed.
    """
    graph = graph_of(model, example)
    groups = [group for group in graph.groups if group.is_exact]
    if not groups:
        raise ValueError("the model has no channels or units that can be removed")
    norms = channel_norms(model, graph)
    left = np.ones(len(graph.roots), bool)
    for group in groups:
        steps = min(round(level * group.width), group.width - 1)
        for part in group.parts:
            count = len(part) - group.kept_of(part, group.width - steps)
            left[part[np.argsort(norms[part], kind="stable")[:count]]] = False
    _keep_what_is_carried(model, graph, left)
    return graph, left[graph.roots]


def _keep_what_is_carried(model: nn.Module, graph: Graph, left: np.ndarray) -> None:
    """Keep channels that pass a value from one shortcut to the next: they have no weights to
    mask."""
    carried: dict[int, int] = {}
    for path, (reads, makes) in graph.trace.leaves.items():
        module = model.get_submodule(path)
        if not isinstance(module, PlaceChannels) or reads is None:
            continue
        for to, place in zip(graph.roots[makes].tolist(), module.places, strict=True):
            if place < 0:
                continue
            source = int(graph.roots[reads[place]])
            if left[to] and not left[source] and left[carried.get(source, source)]:
                left[source] = True
            carried[to] = source


def channel_masks(model: nn.Module, graph: Graph, left: np.ndarray) -> Masks:
    """Return masks for every parameter that shrinks when only the channels in `left` are kept.

    The masks cover the weights that make a channel and those that read it, so the masked network
    answers like the narrowed one. They are found by narrowing a network whose weights hold their
    own positions.
    """
    numbered = copy.deepcopy(model).double()
    with torch.no_grad():
        for parameter in numbered.parameters():
            parameter.copy_(torch.arange(parameter.numel()).view_as(parameter))
    kept = dict(narrowed(numbered, graph, left).named_parameters())
    masks = {}
    for name, parameter in model.named_parameters():
        if kept[name].numel() < parameter.numel():
            mask = torch.zeros(parameter.numel(), dtype=torch.bool)
            mask[kept[name].detach().flatten().long()] = True
            masks[name] = mask.view_as(parameter)
    return masks
