"""Groups of channels of which any may be removed, from the labels of a trace."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from math import gcd
from typing import Any

import numpy as np

from compress.structure.labels import places_of
from compress.structure.trace import Blocks, Trace

TOO_FEW = "there is only one of them"


@dataclass(frozen=True)
class Group:
    """Channels that are kept or taken away together.

    makers: paths of the layers that make them, in the order of the calls; a layer that makes
        several groups is `PATH#2` in the second.
    parts: roots of the channels; every part keeps the same share.
    is_exact: whether masks can take the channels out; not where a norm averages over them.
    """

    makers: tuple[str, ...]
    parts: tuple[np.ndarray, ...]
    is_exact: bool = True

    @property
    def width(self) -> int:
        """How many steps there are to remove: the number of channels, where there is one part."""
        return gcd(*(len(part) for part in self.parts))

    def kept_of(self, part: np.ndarray, width: int) -> int:
        """How many channels of a part stay when the group has this width."""
        return len(part) // self.width * width


def grouped(trace: Trace) -> tuple[tuple[Group, ...], np.ndarray, dict[str, str]]:
    """Return the groups, the root of each label, and why other layers are kept whole, by path."""
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
    """The roots that stay: a channel that two axes share stays with its row and its column."""
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
    """An attribute that is the length of several axes ties them."""
    known: dict[Any, np.ndarray] = {}
    for attribute, labels, _ in trace.sizes:
        first = known.setdefault(attribute, labels)
        if first is not labels:
            trace.labels.tie((first, labels))


def _fix_divided_twice(trace: Trace, fixed: dict[int, str]) -> None:
    """Channels that two reshapes divide differently stay."""
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
    """Of the rows and columns of a product only one kind is removed: whole parts, as heads are,
    else those of which there are more."""
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
            fixed[root] = "they go with the whole part, or the parts with them"


def _owners(trace: Trace, fixed: dict[int, str]) -> np.ndarray:
    """For each label the root that it goes with, -1 for those that stay."""
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
    """Keep what must keep the same share as something that stays; whether anything was fixed."""
    found = False
    for tie in trace.labels.ties:
        held = [owner[labels] for labels in tie]
        if all((each >= 0).all() for each in held):
            continue
        for root in np.unique(np.concatenate(held)).tolist():
            if root >= 0 and root not in fixed:
                fixed[root] = "as many must stay as of others that cannot be removed"
                found = True
    return found


def _incidences(trace: Trace) -> Iterable[np.ndarray]:
    """The labels of every axis along which something is cut."""
    for axes in trace.axes.values():
        for labels in axes:
            if labels is not None:
                yield (labels.labels if isinstance(labels, Blocks) else labels).ravel()
    for reads, makes in trace.leaves.values():
        yield makes
        if reads is not None:
            yield reads


def _cells(trace: Trace, owner: np.ndarray) -> dict[tuple, list[int]]:
    """Units that are cut from the same places of the same weights, and stand in the same ties."""
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
    """Cells that ties bind together."""
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
    """Groups with the layers that make them, in the order of the calls."""
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
    """Why the layers are kept whole that make channels of no group."""
    made = {maker.partition("#")[0] for group in groups for maker in group.makers}
    reasons: dict[str, str] = {}
    roots = trace.labels.find(np.arange(len(trace.labels)))
    for path, labels in trace.makers:
        if path in made or path in reasons:
            continue
        held = [fixed[r] for r in roots[labels].tolist() if r in fixed]
        reasons[path] = held[0] if held else TOO_FEW
    return reasons
