"""The wiring of recurrent networks whose units are connected one by one."""

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import torch
from torch import Tensor


class WiredWeights(NamedTuple):
    """The weights of a wired cell; nodes and connections are in the order of `Layout`.

    N units, E edges, D units of a layer.

    bias: `[N, linear nodes]`
    on_inputs: `[E, linear nodes that read x]`
    on_h: `[sum of D² over layers, connections]`: one row for each pair (unit, unit that it reads)
    diagonal: `[N, diagonal nodes]`
    """

    bias: Tensor
    on_inputs: Tensor
    on_h: Tensor
    diagonal: Tensor


class Wiring(NamedTuple):
    """Networks of layers; all indices are int32 on the CPU, except `squares`, which is int64.

    Units in a network's first layer read features; units in other layers read units of earlier
    layers, at the same step. All units of a layer read each other's states.

    features: total number of features of all networks.
    first_layer: `[networks + 1]`; first_unit, squares: `[layers + 1]`: the first unit of a layer,
        and its first row of `WiredWeights.on_h`.
    starts: `[N + 1]`, columns: `[E]`: where the edges of a unit begin, and the feature or unit that
        each edge reads.
    """

    features: int
    first_layer: Tensor
    first_unit: Tensor
    squares: Tensor
    starts: Tensor
    columns: Tensor

    @property
    def units(self) -> int:
        return len(self.starts) - 1


def wiring_of(edges: Sequence[Tensor], reads: Sequence[Sequence[int]]) -> Wiring:
    """Return the wiring of one network.

    edges: for each layer, booleans `[units, inputs]`.
    reads: for each layer, the layers whose units are its inputs, in this order; none for the first.
    """
    sizes = [len(layer) for layer in edges]
    first = [0, *accumulate(sizes)]
    counts, columns = [torch.zeros(1, dtype=torch.int64)], []
    for layer, read in zip(edges, reads, strict=True):
        inputs = [torch.arange(first[source], first[source + 1]) for source in read]
        inputs = torch.cat(inputs) if inputs else torch.arange(layer.shape[1])
        counts.append(layer.sum(1))
        columns.append(inputs[layer.nonzero()[:, 1]])
    return Wiring(
        edges[0].shape[1],
        torch.tensor([0, len(sizes)], dtype=torch.int32),
        torch.tensor(first, dtype=torch.int32),
        torch.tensor([0, *accumulate(size**2 for size in sizes)]),
        torch.cat(counts).cumsum(0).int(),
        torch.cat(columns).int(),
    )


def side_by_side(networks: Sequence[Wiring]) -> Wiring:
    """Combine networks into one wiring; their features and units are concatenated."""
    features = [0, *accumulate(wiring.features for wiring in networks)]
    units = [0, *accumulate(wiring.units for wiring in networks)]
    columns = []
    for wiring, feature, unit in zip(networks, features, units, strict=False):
        ends = wiring.starts[wiring.first_unit[1]]  # of the first layer's edges
        columns += [wiring.columns[:ends] + feature, wiring.columns[ends:] + unit]
    return Wiring(
        features[-1],
        _joined([wiring.first_layer for wiring in networks]),
        _joined([wiring.first_unit for wiring in networks]),
        _joined([wiring.squares for wiring in networks]),
        _joined([wiring.starts for wiring in networks]),
        torch.cat(columns).int(),
    )


def _joined(bounds: Sequence[Tensor]) -> Tensor:
    """Concatenate bounds that begin with 0, moving each to the end of the previous one."""
    moved, at = [bounds[0][:1]], 0
    for each in bounds:
        moved.append(each[1:] + at)
        at += int(each[-1])
    return torch.cat(moved)
