"""Channels followed through a network: which of them are the same, which may be taken away."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor


@dataclass(frozen=True)
class Channels:
    """The channels of a tensor: a number for each position along its axis `dim`."""

    labels: np.ndarray
    dim: int


@dataclass(frozen=True)
class States:
    """The last states `[L × directions, B, H]` of a recurrent layer: labels of each."""

    each: tuple[np.ndarray, ...]


class Labels:
    """Numbers for channels. Channels that are added to each other are united: they are one."""

    def __init__(self) -> None:
        self._parent: list[int] = []
        self._fixed: list[np.ndarray] = []

    def new(self, count: int) -> np.ndarray:
        first = len(self._parent)
        self._parent.extend(range(first, first + count))
        return np.arange(first, first + count)

    def unite(self, some: np.ndarray, others: np.ndarray) -> None:
        for a, b in zip(some.tolist(), others.tolist(), strict=True):
            a, b = self._root(a), self._root(b)
            self._parent[max(a, b)] = min(a, b)

    def fix(self, value: object) -> None:
        """These channels must stay."""
        self._fixed.extend(labels for labels in _labels_in(value))

    def roots(self) -> np.ndarray:
        """For each label the one that stands for all united with it."""
        return np.array([self._root(label) for label in range(len(self._parent))], dtype=int)

    def fixed(self) -> frozenset[int]:
        """The roots of the channels that must stay."""
        return frozenset(self._root(i) for labels in self._fixed for i in labels.tolist())

    def _root(self, label: int) -> int:
        while self._parent[label] != label:
            self._parent[label] = self._parent[self._parent[label]]
            label = self._parent[label]
        return label


def _labels_in(value: object) -> Iterator[np.ndarray]:
    if isinstance(value, Channels):
        yield value.labels
    elif isinstance(value, States):
        yield from value.each
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _labels_in(item)
    elif isinstance(value, dict):
        yield from _labels_in(list(value.values()))


def added(labels: Labels, given: Sequence[tuple[object, object]]) -> Channels | None:
    """Channels of an elementwise operation on pairs of (channels, value)."""
    followed = [channels for channels, _ in given if isinstance(channels, Channels)]
    if not followed:
        return None
    first = followed[0]
    width = len(first.labels)
    for channels, value in given:
        if isinstance(channels, Channels) and (channels.dim, len(channels.labels)) == (
            first.dim,
            width,
        ):
            labels.unite(first.labels, channels.labels)
        elif isinstance(value, Tensor) and _spans(value, first.dim, followed, given):
            labels.fix(followed)
    return first


def _spans(
    value: Tensor, dim: int, followed: Iterable[Channels], given: Sequence[tuple[object, object]]
) -> bool:
    """Whether a tensor without channels of its own has more than one place along the axis."""
    rank = max(v.dim() for _, v in given if isinstance(v, Tensor))
    own = dim - (rank - value.dim())
    return own >= 0 and value.shape[own] != 1


def reshaped(channels: Channels, before: Tensor, after: Tensor) -> Channels | None:
    """Channels after the axes from the channels' axis on were flattened into one; else None."""
    dim = channels.dim
    rest = before.shape[dim + 1 :].numel()
    if after.dim() != dim + 1 or after.shape[dim] != before.shape[dim] * rest:
        return channels if before.shape == after.shape else None
    return Channels(np.repeat(channels.labels, rest), dim)


def reduced(channels: Channels, before: Tensor, after: Tensor, axes: object) -> Channels | None:
    """Channels after a mean, sum or maximum over axes; None when the channels' axis is gone."""
    if not isinstance(axes, (int, tuple, list)):
        return None
    listed = (axes,) if isinstance(axes, int) else axes
    gone = {axis % before.dim() for axis in listed}
    if channels.dim in gone:
        return None
    if after.dim() == before.dim():
        return channels
    return Channels(channels.labels, channels.dim - sum(axis < channels.dim for axis in gone))


def indexed(channels: Channels, key: object) -> Channels | None:
    """Channels after slices and single places were taken along other axes, or new axes put in."""
    axis, dim = 0, channels.dim
    for k in key if isinstance(key, tuple) else (key,):
        is_before = axis < channels.dim
        if k is None:
            dim += is_before or axis == channels.dim
            continue
        if not isinstance(k, (int, slice)) or (axis == channels.dim and k != slice(None)):
            return None
        dim -= is_before and isinstance(k, int)
        axis += 1
    return Channels(channels.labels, dim)


def moved(channels: Channels, before: Tensor, order: Sequence[int]) -> Channels:
    """Channels after the axes were put in another order."""
    axes = [axis % before.dim() for axis in order]
    return Channels(channels.labels, axes.index(channels.dim))


def squeezed(channels: Channels, before: Tensor, after: Tensor, axis: object) -> Channels | None:
    """Channels after an axis of one place was put in or taken away, where it is not their own."""
    if not isinstance(axis, int):
        return None
    at = axis % max(before.dim(), after.dim())
    change = after.dim() - before.dim()
    if change < 0 and at == channels.dim:
        return None
    is_before = at <= channels.dim if change > 0 else at < channels.dim
    return Channels(channels.labels, channels.dim + change * is_before)
