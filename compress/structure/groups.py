"""Groups channels that can be removed, from the labels of a trace."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from math import gcd
from typing import Any

import numpy as np

from compress.structure.labels import places_of
from compress.structure.trace import Blocks, Trace

TOO_FEW = "its channels cannot be removed one without the others"


@dataclass(frozen=True)
class Group:
    """Channels that are kept or removed together.

    makers: paths of the layers that make them, in the order of the calls; the second group of
        the same layer is `PATH#2`.
    parts: roots of the channels; every part keeps the same share.
    is_exact: whether masks can remove the channels; False where a norm averages over them.
    """

    makers: tuple[str, ...]
    parts: tuple[np.ndarray, ...]
    is_exact: bool = True

    @property
    def width(self) -> int:
        """How many steps of removal there are: the number of channels, if there is one part."""
        return gcd(*(len(part) for part in self.parts))

    def kept_of(self, part: np.ndarray, width: int) -> int:
        """Return how many channels of a part stay when the group has this width."""
        return len(part) // self.width * width


def grouped(trace: Trace) -> tuple[tuple[Group, ...], np.ndarray, dict[str, str]]:
    """Return the groups, the root of each label, and why the other layers stay whole, by path."""
    trace.labels.close()
    fixed = _fixed(trace)
    owner = _owners(trace, fixed)
    while _fix_uneven(trace, owner, fixed):
        owner = _owners(trace, fixed)
    cells = _cells(trace, owner)
    groups = _joined(trace, cells, owner)
    named = _named(trace, groups, owner)
    roots = trace.labels.find(np.arange(len(trace.labels)))
    roots = np.where(owner >= 0, owner, roots)
    return tuple(named), roots, _reasons(trace, named, owner, fixed)


def _fixed(trace: Trace) -> dict[int, str]:
    """Return the roots that stay, with reasons; a channel of a product keeps its row and column."""
    labels = trace.labels
    _tie_sizes(trace)
    fixed = labels.fixed()
    _fix_divided_twice(trace, fixed)
    while True:
        before = len(fixed)
        for product in labels.products:
            both = labels.find(product.both)
            held = np.isin(both, list(fixed))
            for i, j in zip(*np.nonzero(held), strict=True):
                reason = fixed[int(both[i, j])]
                fixed.setdefault(int(labels.find(product.rows)[i]), reason)
                fixed.setdefault(int(labels.find(product.columns)[j]), reason)
        if len(fixed) == before:
            break
    _fix_one_factor(trace, fixed)
    return fixed


def _tie_sizes(trace: Trace) -> None:
    """Tie the axes whose length is the same attribute."""
    known: dict[Any, np.ndarray] = {}
    for attribute, labels, _ in trace.sizes:
        first = known.setdefault(attribute, labels)
        if first is not labels:
            trace.labels.tie((first, labels))


def _fix_divided_twice(trace: Trace, fixed: dict[int, str]) -> None:
    """Fix the channels that two reshapes divide differently."""
    labels = trace.labels
    seen: dict[int, tuple[int, int]] = {}
    for product in labels.products:
        rows, columns = labels.find(product.rows), labels.find(product.columns)
        for (i, j), root in np.ndenumerate(labels.find(product.both)):
            key = (int(rows[i]), int(columns[j]))
            if seen.setdefault(int(root), key) != key:
                for each in (*key, *seen[int(root)]):
                    fixed.setdefault(each, "two reshapes divide them differently")


def _fix_one_factor(trace: Trace, fixed: dict[int, str]) -> None:
    """Remove only rows or only columns of a product: whole parts such as heads, or else the more
    numerous ones."""
    labels = trace.labels
    whole = set(labels.find(places_of(labels.whole)).tolist())
    for product in labels.products:
        axes = [labels.find(product.rows), labels.find(product.columns)]
        free = [[r for r in np.unique(axis).tolist() if r not in fixed] for axis in axes]
        if not all(free):
            continue
        is_whole = [any(r in whole for r in each) for each in free]
        stays = int(is_whole[0]) if is_whole[0] != is_whole[1] else int(len(free[0]) > len(free[1]))
        for root in free[stays]:
            fixed[root] = "they can only be removed together with whole parts, such as heads"


def _owners(trace: Trace, fixed: dict[int, str]) -> np.ndarray:
    """Return, for each label, the root that it is removed with; -1 if it stays."""
    labels = trace.labels
    roots = labels.find(np.arange(len(labels)))
    owner = np.arange(len(labels))
    owner[list(fixed)] = -1
    is_pair = np.zeros(len(labels), bool)
    for product in labels.products:
        is_pair[labels.find(product.both)] = True
    owner[is_pair] = -1
    for _ in range(4):  # products of products
        for product in labels.products:
            rows, columns = (owner[labels.find(x)] for x in (product.rows, product.columns))
            both = np.where(rows[:, None] >= 0, rows[:, None], columns[None])
            owner[labels.find(product.both)] = both
    return owner[roots]


def _fix_uneven(trace: Trace, owner: np.ndarray, fixed: dict[int, str]) -> bool:
    """Fix what is tied to something that stays; return whether anything was fixed."""
    found = False
    for tie in trace.labels.ties:
        held = [owner[labels] for labels in tie]
        if all((each >= 0).all() for each in held):
            continue
        for root in np.unique(np.concatenate(held)).tolist():
            if root >= 0 and root not in fixed:
                fixed[root] = "their number must match that of channels that cannot be removed"
                found = True
    return found


def _incidences(trace: Trace) -> Iterable[np.ndarray]:
    """Yield the labels of every axis along which tensors are cut."""
    for axes in trace.axes.values():
        for labels in axes:
            if labels is not None:
                yield (labels.labels if isinstance(labels, Blocks) else labels).ravel()
    for reads, makes in trace.leaves.values():
        yield makes
        if reads is not None:
            yield reads


def _cells(trace: Trace, owner: np.ndarray) -> dict[tuple, list[int]]:
    """Collect units that are cut from the same axes of the same weights and have the same ties."""
    signature: dict[int, list] = defaultdict(list)
    for number, labels in enumerate(_incidences(trace)):
        units, counts = np.unique(owner[labels], return_counts=True)
        for unit, count in zip(units.tolist(), counts.tolist(), strict=True):
            if unit >= 0:
                signature[unit].append((number, count))
    for number, tie in enumerate(trace.labels.ties):
        for part, labels in enumerate(tie):
            for unit in np.unique(owner[labels]).tolist():
                if unit >= 0:
                    signature[unit].append((number, part, "tie"))
    cells: dict[tuple, list[int]] = defaultdict(list)
    for unit in sorted(signature):
        cells[tuple(signature[unit])].append(unit)
    return cells


def _joined(trace: Trace, cells: dict[tuple, list[int]], owner: np.ndarray) -> list[list[Any]]:
    """Join the cells that ties connect."""
    parts = [np.array(units) for units in cells.values()]
    home = {unit: i for i, units in enumerate(cells.values()) for unit in units}
    first = list(range(len(parts)))

    def root(i: int) -> int:
        while first[i] != i:
            i = first[i]
        return i

    for tie in trace.labels.ties:
        bound = [home[u] for u in np.unique(owner[places_of(tie)]).tolist() if u in home]
        for other in bound[1:]:
            a, b = sorted((root(bound[0]), root(other)))
            first[b] = a
    groups: dict[int, list] = defaultdict(list)
    for i, part in enumerate(parts):
        groups[root(i)].append(part)
    return list(groups.values())


def _named(trace: Trace, found: list[list[Any]], owner: np.ndarray) -> list[Group]:
    """Return the groups with the layers that make them, in the order of the calls."""
    number = {int(u): i for i, parts in enumerate(found) for part in parts for u in part}
    makers: dict[int, dict[str, None]] = {}
    for path, labels in trace.makers:
        for i in sorted({number[u] for u in np.unique(owner[labels]).tolist() if u in number}):
            makers.setdefault(i, {})[path] = None
    averaged = set(np.unique(owner[places_of(trace.averaged)]).tolist())
    times: dict[str, int] = defaultdict(int)
    groups = []
    for i, paths in makers.items():
        names = []
        for path in paths:
            times[path] += 1
            names.append(path if times[path] == 1 else f"{path}#{times[path]}")
        parts = tuple(sorted(found[i], key=lambda part: int(part[0])))
        is_exact = not any(int(u) in averaged for part in parts for u in part)
        groups.append(Group(tuple(names), parts, is_exact))
    return [group for group in groups if group.width > 1]


def _reasons(
    trace: Trace, groups: list[Group], owner: np.ndarray, fixed: dict[int, str]
) -> dict[str, str]:
    """Return, for each layer that makes no group's channels, why it stays whole."""
    made = {maker.partition("#")[0] for group in groups for maker in group.makers}
    reasons: dict[str, str] = {}
    roots = trace.labels.find(np.arange(len(trace.labels)))
    for path, labels in trace.makers:
        if path in made or path in reasons:
            continue
        held = [fixed[r] for r in roots[labels].tolist() if r in fixed]
        reasons[path] = held[0] if held else TOO_FEW
    return reasons
