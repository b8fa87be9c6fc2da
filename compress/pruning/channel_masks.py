"""Masks that leave whole channels and units unread, so that they can be taken out exactly."""

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
    """Return the graph, and for each label whether its channel is left: what `narrowed` takes.

    level: share of the channels of every group that goes, rounded, those of the smallest norms; one
        always stays. Channels that are zero already go first. Channels that a norm averages over
        stay: a mask cannot take them out of the average.
    example: an input `[B, …]`, a tuple of inputs, or a dictionary of them; only shapes matter.
    Raises `CannotTrace`, and `ValueError` where no channels can be removed.
    """
    graph = graph_of(model, example)
    groups = [group for group in graph.groups if group.is_exact]
    if not groups:
        raise ValueError("the model has no channels or units that could be removed")
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
    """Keep channels by which one shortcut hands a value to the next: these have no weights that
    could be masked."""
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
    """Masks of every parameter that loses something when only the channels left are kept.

    They cover what makes a channel and what reads it, so that the masked network answers as the
    narrowed one does. Found by narrowing a network whose weights are their own places.
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
