"""The full-width network that a narrowed one must agree with."""

import numpy as np
import torch
from torch import Tensor, nn

from compress.structure.channels import Graph
from compress.structure.groups import Group
from compress.structure.labels import places_of
from compress.structure.networks import copied
from compress.structure.place_channels import PlaceChannels
from compress.structure.trace import Blocks


def silenced(model: nn.Module, graph: Graph, left: np.ndarray) -> nn.Module:
    """Return the whole network with the weights that read the removed channels set to zero.

    Where a norm averages over channels, removing some changes the average. There the removed
    channels become copies of the remaining ones, each copied equally often. Channels over which
    the product of two activations is summed are zero instead.
    left: for each label, whether it is left.
    """
    whole = copied(model)
    tensors = {**dict(whole.named_parameters()), **dict(whole.named_buffers())}
    untied = _untie(whole, tensors)
    read = np.zeros(len(left), bool)
    read[places_of(graph.trace.reads)] = True
    zeroed = _zeroed(graph)
    source = _copied_from(graph, left)
    with torch.no_grad():
        for name, axes in graph.trace.axes.items():
            for axis, labels in enumerate(axes):
                if labels is None or isinstance(labels, Blocks):
                    _silence_blocks(tensors[name], labels, left)
                    continue
                gone = ~left[labels]
                if read[labels].any():
                    _fill(tensors[name], axis, gone)
                    for table in untied.get(name, ()):
                        _copy(table, axis, labels, source, graph.roots)
                    continue
                if isinstance(tensors[name], nn.Parameter):
                    _fill(tensors[name], axis, gone & zeroed[graph.roots[labels]])
                _copy(tensors[name], axis, labels, source, graph.roots)
    for path, (reads, _) in graph.trace.leaves.items():
        shortcut = whole.get_submodule(path)
        assert isinstance(shortcut, PlaceChannels)
        for to, place in enumerate(shortcut.places):
            if place >= 0 and reads is not None and not left[reads[place]]:
                shortcut.get_buffer("copied")[to] = 0
    return whole


def _untie(model: nn.Module, tensors: dict[str, Tensor]) -> dict[str, list[Tensor]]:
    """Give each embedding that shares its table a copy of its own; return the copies by name."""
    names = {id(tensor): name for name, tensor in tensors.items()}
    holders = [id(value) for m in model.modules() for value in m._parameters.values()]
    found: dict[str, list[Tensor]] = {}
    for module in model.modules():
        if isinstance(module, nn.Embedding) and holders.count(id(module.weight)) > 1:
            own = nn.Parameter(module.weight.detach().clone())
            found.setdefault(names[id(module.weight)], []).append(own)
            module.weight = own
    return found


def _zeroed(graph: Graph) -> np.ndarray:
    """Return, for each root, whether its weights must be zero once it is removed."""
    zeroed = np.zeros(len(graph.roots), bool)
    zeroed[graph.roots[places_of(graph.trace.multiplied)]] = True
    return zeroed


def _copied_from(graph: Graph, left: np.ndarray) -> dict[int, int]:
    """Return, for each removed channel of an averaged group, the remaining channel it copies."""
    zeroed = _zeroed(graph)
    source: dict[int, int] = {}
    for group in graph.groups:
        for part in group.parts:
            gone, kept = part[~left[part]], part[left[part]]
            if group.is_exact or zeroed[part].any() or not len(gone):
                continue
            if len(gone) % len(kept):
                raise ValueError(f"{len(gone)} channels cannot be even copies of {len(kept)}")
            source |= dict(zip(gone.tolist(), np.resize(kept, len(gone)).tolist(), strict=True))
    return source


def _fill(tensor: Tensor, axis: int, gone: np.ndarray) -> None:
    if gone.any():
        tensor.index_fill_(axis, torch.from_numpy(np.flatnonzero(gone)), 0)


def _silence_blocks(tensor: Tensor, labels: Blocks | None, left: np.ndarray) -> None:
    if labels is None:
        return
    for block, own in zip(
        tensor.unflatten(0, (len(labels.labels), -1)), labels.labels, strict=True
    ):
        _fill(block, 1, ~left[own])


def _copy(
    tensor: Tensor, axis: int, labels: np.ndarray, source: dict[int, int], roots: np.ndarray
) -> None:
    """Overwrite the places of removed channels, in order, with those of the channels they copy."""
    places: dict[int, list[int]] = {}
    for place, root in enumerate(roots[labels].tolist()):
        places.setdefault(root, []).append(place)
    pairs = [
        (to, place)
        for root, mine in places.items()
        if root in source and source[root] in places
        for to, place in zip(mine, places[source[root]], strict=True)
    ]
    if pairs:
        to, taken = (torch.tensor(each) for each in zip(*pairs, strict=True))
        tensor.index_copy_(axis, to, tensor.index_select(axis, taken))


def halved(groups: tuple[Group, ...], rng: np.random.Generator) -> list[np.ndarray]:
    """Return the roots of a random half of the channels of every group."""
    gone = []
    for group in groups:
        width = max(1, group.width // 2)
        gone += [rng.permutation(part)[group.kept_of(part, width) :] for part in group.parts]
    return gone
