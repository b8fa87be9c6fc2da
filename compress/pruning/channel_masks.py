"""Masks that leave whole channels and units unread, so that they can be taken out exactly."""

import copy

import numpy as np
import torch
from torch import Tensor, nn

from compress.pruning.masks import Masks
from compress.structure.graph import Graph, graph_of
from compress.structure.place_channels import PlaceChannels
from compress.structure.student import channel_norms, narrowed


def channels_left(model: nn.Module, example: Tensor, level: float) -> tuple[Graph, np.ndarray]:
    """The graph, and for each label whether its channel is left: what `narrowed` takes.

    level: share of the channels of every group that goes, rounded, those of the smallest norms; one
        always stays. Channels that are zero already go first.
    example: an input `[B, …]`, of which only the shape matters.
    Raises `CannotTrace`, and `ValueError` where no channels can be removed.
    """
    graph = graph_of(model, example)
    if not graph.groups:
        raise ValueError("the model has no channels or units that could be removed")
    norms = channel_norms(model, graph)
    left = np.ones(len(graph.roots), bool)
    for group in graph.groups:
        for part in group.parts:
            count = min(round(level * len(part)), len(part) - 1)
            left[part[np.argsort(norms[part], kind="stable")[:count]]] = False
    _keep_what_is_carried(model, graph, left)
    return graph, left[graph.roots]


def _keep_what_is_carried(model: nn.Module, graph: Graph, left: np.ndarray) -> None:
    """Keep channels by which one shortcut hands a value to the next: these have no weights that
    could be masked."""
    carried: dict[int, int] = {}
    for layer in graph.layers:
        module = model.get_submodule(layer.path)
        if not isinstance(module, PlaceChannels) or layer.reads is None:
            continue
        written = graph.roots[layer.makes[0]].tolist()
        for to, place in zip(written, module.places, strict=True):
            if place < 0:
                continue
            source = int(graph.roots[layer.reads[place]])
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
