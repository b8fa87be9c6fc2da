"""Labels: numbers for the places along every axis, equal for places of the same channel."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

Axes = tuple[np.ndarray | None, ...]  # for each axis of a tensor its labels, None where it has none


@dataclass(frozen=True)
class Product:
    """An axis that a reshape divides into two, as attention divides channels into heads.

    The channel `both[i, j]` is removed with `rows[i]` or `columns[j]`.
    """

    rows: np.ndarray
    columns: np.ndarray
    both: np.ndarray


class Labels:
    """Labels, united where a network adds, multiplies or contracts one channel with another.

    products: see `Product`.
    ties: arrays of labels that must keep the same share of their places.
    whole: labels of parts that are only removed as a whole, such as heads.
    """

    def __init__(self) -> None:
        self._parent = np.arange(1024)
        self._count = 0
        self._fixed: list[tuple[np.ndarray, str]] = []
        self.products: list[Product] = []
        self.ties: list[tuple[np.ndarray, ...]] = []
        self.whole: list[np.ndarray] = []

    def __len__(self) -> int:
        return self._count

    def new(self, count: int) -> np.ndarray:
        """Return `count` unused labels."""
        first, self._count = self._count, self._count + count
        if self._count > len(self._parent):
            size = max(self._count, 2 * len(self._parent))
            self._parent = np.concatenate([self._parent, np.arange(len(self._parent), size)])
        return np.arange(first, self._count)

    def find(self, labels: np.ndarray) -> np.ndarray:
        """Return, for each label, the representative of all labels united with it."""
        roots = self._parent[labels]
        while True:
            above = self._parent[roots]
            if np.array_equal(above, roots):
                break
            roots = above
        self._parent[labels] = roots
        return roots

    def unite(self, some: np.ndarray, others: np.ndarray) -> None:
        """Declare that the labels of two arrays are the same, place by place."""
        if some is others or np.array_equal(some, others):
            return
        some, others = some.ravel(), others.ravel()
        if some.shape != others.shape:
            raise ValueError(f"{len(some)} channels cannot be united with {len(others)}")
        while True:
            a, b = self.find(some), self.find(others)
            differ = a != b
            if not differ.any():
                return
            low, high = np.minimum(a, b)[differ], np.maximum(a, b)[differ]
            np.minimum.at(self._parent, high, low)
            some, others = np.concatenate([some, high]), np.concatenate([others, low])

    def fix(self, labels: np.ndarray | None, reason: str) -> None:
        """Declare that these channels must stay, and why."""
        if labels is not None:
            self._fixed.append((labels.ravel(), reason))

    def fixed(self) -> dict[int, str]:
        """Return the roots of the channels that must stay, with the first reason given for each."""
        reasons: dict[int, str] = {}
        for labels, reason in self._fixed:
            for root in np.unique(self.find(labels)).tolist():
                reasons.setdefault(root, reason)
        return reasons

    def tie(self, arrays: Sequence[np.ndarray]) -> None:
        """Declare that these arrays must keep the same share of their places."""
        if len(arrays) > 1:
            self.ties.append(tuple(arrays))

    def merged(self, outer: np.ndarray | None, inner: np.ndarray | None, sizes: tuple[int, int]):
        """Return the labels of an axis that two neighbouring axes were flattened into."""
        if outer is None:
            return None if inner is None else np.tile(inner, sizes[0])
        if inner is None:
            return np.repeat(outer, sizes[1])
        a, b = self.find(outer), self.find(inner)
        for known in self.products:
            same = known.both.shape == sizes and np.array_equal(self.find(known.rows), a)
            if same and np.array_equal(self.find(known.columns), b):
                return known.both.ravel()
        both = self.new(sizes[0] * sizes[1]).reshape(sizes)
        self.products.append(Product(outer, inner, both))
        return both.ravel()

    def divided(self, labels: np.ndarray | None, sizes: tuple[int, int]) -> Axes:
        """Return the labels of two axes into which one was divided."""
        if labels is None:
            return None, None
        both = labels.reshape(sizes)
        roots = self.find(both)
        if (roots == roots[:, :1]).all():
            return both[:, 0].copy(), None
        if (roots == roots[:1]).all():
            return None, both[0].copy()
        for known in self.products:
            if known.both.shape == sizes and np.array_equal(self.find(known.both), roots):
                return known.rows, known.columns
        rows, columns = (self._alike(matrix) for matrix in (roots, roots.T))
        self.products.append(Product(rows, columns, both))
        return rows, columns

    def _alike(self, matrix: np.ndarray) -> np.ndarray:
        """Return new labels for the rows of a matrix; equal rows get the same label."""
        _, which = np.unique(matrix, axis=0, return_inverse=True)
        return self.new(int(which.max()) + 1)[which.ravel()]

    def close(self) -> None:
        """Unite what the products imply.

        Equal rows and columns mean equal channels; channels that are divided twice have the same
        rows and columns both times.
        """
        while self.products:
            before = self.find(np.arange(self._count))
            keys, channels = [], []
            seen: dict[tuple, Product] = {}
            for product in self.products:
                both = self.find(product.both)
                known = seen.setdefault((both.shape, both.tobytes()), product)
                self.unite(known.rows, product.rows)
                self.unite(known.columns, product.columns)
                rows, columns = self.find(product.rows), self.find(product.columns)
                keys.append((rows[:, None] * self._count + columns).ravel())
                channels.append(product.both.ravel())
            _, first, which = np.unique(
                np.concatenate(keys), return_index=True, return_inverse=True
            )
            every = np.concatenate(channels)
            self.unite(every, every[first[which.ravel()]])
            if np.array_equal(before, self.find(np.arange(self._count))):
                return


def places_of(arrays: Iterable[np.ndarray | None]) -> np.ndarray:
    """Return the labels of all arrays in one flat array."""
    found = [labels.ravel() for labels in arrays if labels is not None]
    return np.concatenate(found) if found else np.empty(0, dtype=int)
