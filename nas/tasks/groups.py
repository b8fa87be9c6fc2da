"""Finite groups by name, as multiplication tables made from permutations."""

import math
import re
from dataclasses import dataclass

import numpy as np

from nas.core.task import BadData

LARGEST = 720  # elements; S6 and Z720 have as many
PART = re.compile(r"([ZSA])([1-9]\d*)|(D)([3-9]|[1-9]\d+)")
KNOWN = (
    "the groups are Zn, Sn, An, Dn (n from 3) such as S5, and products such as A4_x_Z5, "
    f"of 2 to {LARGEST} elements"
)

Permutation = tuple[int, ...]


@dataclass(frozen=True)
class Group:
    """A finite group. table: `[n, n]`; row p, column q holds the product p · q; 0 is neutral."""

    name: str
    table: np.ndarray

    def __len__(self) -> int:
        return len(self.table)


def named_group(name: str) -> Group:
    """Return Zn (cyclic), Sn (symmetric), An (alternating), Dn (of a polygon), or a product.

    Raises `BadData` for a name that means no group, and for a group that is too large or trivial.

    >>> named_group("Z3").table.tolist()
    [[0, 1, 2], [1, 2, 0], [2, 0, 1]]
    >>> len(named_group("A4_x_Z5")), len(named_group("S5"))
    (60, 120)
    """
    found = [PART.fullmatch(part) for part in str(name).split("_x_")]
    parts = [(m[1] or m[3], int((m[2] or m[4])[:9])) for m in found if m]
    if len(parts) < len(found):
        raise BadData(f'unknown group "{name}": {KNOWN}')
    if not 2 <= math.prod(_order(*part) for part in parts) <= LARGEST:
        raise BadData(f'group "{name}" is too large or has one element: {KNOWN}')
    degrees = [n for _, n in parts]
    generators = [
        (*range(start), *(start + i for i in moved), *range(start + n, sum(degrees)))
        for i, (letter, n) in enumerate(parts)
        for start in [sum(degrees[:i])]
        for moved in _generators(letter, n)
    ]
    return Group(name, multiplication_table(generators))


def _order(letter: str, n: int) -> int:
    factorial = math.factorial(min(n, 10))  # of larger numbers, any of these is too large
    return {"Z": n, "S": factorial, "A": max(1, factorial // 2), "D": 2 * n}[letter]


def _generators(letter: str, n: int) -> list[Permutation]:
    """Return permutations of n points that generate the group."""
    turn = tuple((i + 1) % n for i in range(n))
    if letter == "Z":
        return [turn]
    if letter == "D":
        return [turn, tuple(-i % n for i in range(n))]
    if letter == "S":
        return [turn, (1, 0, *range(2, n))[:n]] if n > 1 else []
    return [(1, i, *range(2, i), 0, *range(i + 1, n)) for i in range(2, n)]  # cycles of three


def multiplication_table(generators: list[Permutation]) -> np.ndarray:
    """Return the table of the group that permutations generate; element 0 is the identity.

    The product p · q applies q first.
    """
    elements = [tuple(range(len(generators[0])))]
    number = {elements[0]: 0}
    found_as = [(0, 0)]  # each element is a generator times an earlier element
    times_generator: list[list[int]] = [[] for _ in generators]
    for i, element in enumerate(elements):  # the list grows
        for g, generator in enumerate(generators):
            product = tuple(generator[point] for point in element)
            if product not in number:
                number[product] = len(elements)
                elements.append(product)
                found_as.append((g, i))
            times_generator[g].append(number[product])
    by_generator = np.array(times_generator)
    table = np.empty((len(elements), len(elements)), np.int64)
    table[0] = np.arange(len(elements))
    for row, (g, i) in enumerate(found_as[1:], start=1):
        table[row] = by_generator[g][table[i]]
    return table
