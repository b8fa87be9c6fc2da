"""The arguments of a layer besides hidden states: masks, rotations, inputs of its own.

They are recorded for one row of tokens, and repeated for any number of rows.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import TreeSpec, tree_flatten, tree_unflatten

from search_spaces.layer_chain.anatomy import Arguments


@dataclass(frozen=True)
class Leaf:
    """A value among a layer's arguments.

    value: for one row, or for all entered rows if `of_rows`. axis: that of rows, None for a value
    without rows. each: its entries per row. times: the axes that grow with the tokens.
    """

    value: Any
    axis: int | None = None
    each: int = 1
    times: tuple[int, ...] = ()
    of_rows: bool = False

    def last(self, count: int) -> "Leaf":
        """Return the leaf for the last `count` positions as queries; all remain as keys."""
        if not self.times or (len(self.times) == 1 and _is_of_keys(self.value, self.times[0])):
            return self
        query = self.times[0]
        start = self.value.shape[query] - count
        return Leaf(self.value.narrow(query, start, count), self.axis, self.each, self.times)

    def for_rows(self, rows: Tensor) -> Any:
        """Return the value for calls on these rows of the entered tokens, `[N]`."""
        if self.axis is None:
            return self.value
        if self.of_rows:
            by_row = self.value.unflatten(self.axis, (-1, self.each))
            return by_row.index_select(self.axis, rows).flatten(self.axis, self.axis + 1)
        size = list(self.value.shape)
        size[self.axis : self.axis + 1] = [len(rows), self.each]
        many = self.value.unsqueeze(self.axis).expand(size)
        return many.flatten(self.axis, self.axis + 1)  # a copy only if `each` is above 1


@dataclass(frozen=True)
class Around:
    """The arguments of one layer's calls."""

    leaves: tuple[Leaf, ...]
    shape: TreeSpec

    def last(self, count: int) -> "Around":
        return Around(tuple(leaf.last(count) for leaf in self.leaves), self.shape)

    def for_rows(self, rows: Tensor) -> Arguments:
        """Return the arguments by name for calls on these rows of the entered tokens, `[N]`."""
        return tree_unflatten([leaf.for_rows(rows) for leaf in self.leaves], self.shape)


def around_of(one: Arguments, two: Arguments, longer: Arguments) -> Around:
    """Return a layer's arguments, given those for one row, for two, and for one more token."""
    (values, shape), (doubled, _), (grown, _) = map(tree_flatten, (one, two, longer))
    parts = zip(values, doubled, grown, strict=True)
    return Around(tuple(_leaf(*part) for part in parts), shape)


def of_rows(around: Around, of_all: Arguments, differing: frozenset[int]) -> Around:
    """Return the arguments with those leaves that differ by row taken from all rows'."""
    if not differing:
        return around
    given = tree_flatten(of_all)[0]
    leaves = [
        Leaf(given[i], leaf.axis, leaf.each, leaf.times, True) if i in differing else leaf
        for i, leaf in enumerate(around.leaves)
    ]
    return Around(tuple(leaves), around.shape)


def differing_by_row(around: Around, of_two: Arguments) -> frozenset[int]:
    """Return the leaves that differ between two rows of other tokens."""
    given = tree_flatten(of_two)[0]
    return frozenset(
        i
        for i, (leaf, value) in enumerate(zip(around.leaves, given, strict=True))
        if leaf.axis is not None and not torch.equal(*value.chunk(2, dim=leaf.axis))
    )


def _leaf(one: Any, two: Any, longer: Any) -> Leaf:
    if not isinstance(one, Tensor):
        return Leaf(one)
    axes = [i for i, (a, b) in enumerate(zip(one.shape, two.shape, strict=True)) if a != b]
    times = [i for i, (a, b) in enumerate(zip(one.shape, longer.shape, strict=True)) if a != b]
    axis = axes[0] if axes else None
    return Leaf(one, axis, one.shape[axis] if axis is not None else 1, tuple(times))


def _is_of_keys(value: Tensor, time: int) -> bool:
    """Return whether a value's only time axis is that of the keys, as in ALiBi `[B H, 1, T]`."""
    return value.dim() > 2 and time == value.dim() - 1
