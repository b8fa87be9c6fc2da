"""The order in which a cell is computed, forward and backward, in as few levels as possible.

A matrix product needs all units of its inputs, and so does a normalisation; everything between two
of these forms a level. A forward level is a group of them and the unit-wise operations that follow;
a backward level is the same from the other end. Within a level, units are independent.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from kernels.cell.operations import OPERATIONS, Reduction, crosses_units
from kernels.cell.spec import CellSpec, InvalidCell, Node
from kernels.cell.weights import Layout, layout_of


@dataclass(frozen=True, slots=True)
class Schedule:
    """When each value is computed; values are numbered as in `CellSpec`.

    forward: each level's nodes in computing order.
    reverse: each level's nodes and previous states whose gradient it completes.
    kept: the nodes, except new states, that other levels or the backward pass read.
    partial: the values whose gradient accumulates over several levels, or is read by other units.
    """

    cell: CellSpec
    layout: Layout
    forward: tuple[tuple[int, ...], ...]
    reverse: tuple[tuple[int, ...], ...]
    kept: tuple[int, ...]
    partial: tuple[int, ...]

    def node(self, value: int) -> Node:
        return self.cell.nodes[value - self.cell.states - 1]

    def is_node(self, value: int) -> bool:
        return value > self.cell.states

    def gradient_row(self, value: int) -> int | None:
        """Return a node's row among nodes with weights: first linear ones, then diagonal ones."""
        rows = (*self.layout.linears, *self.layout.diagonals)
        return rows.index(value) if value in rows else None

    def gradients(self, value: int) -> list[tuple[int, str]]:
        """Return a node's unit-wise terms of its inputs' gradients: (input, expression).

        In the expressions, `v5` is value 5, `d5` its gradient, and `w5` the weight of node 5.
        """
        node = self.node(value)
        if crosses_units(node.op):
            return []
        if node.op == "diagonal":
            return [(source, f"d{value} * w{value}") for source in node.inputs]
        rule = OPERATIONS[node.op].gradients
        assert rule is not None, f"{node.op} is not a unit-wise operation"
        texts = rule([self._name(i) for i in node.inputs], f"v{value}", f"d{value}")
        inlined = inlined_numbers(self.cell)
        return [(i, text) for i, text in zip(node.inputs, texts, strict=True) if i not in inlined]

    def expression(self, value: int) -> str:
        """Return the expression of a unit-wise node, with the names of `gradients`."""
        node = self.node(value)
        if node.op == "diagonal":
            return " * ".join([*(self._name(i) for i in node.inputs), f"w{value}"])
        if reduction := self.reduction(value):
            return self._filled(value, reduction.value)
        rule = OPERATIONS[node.op].value
        assert rule is not None, f"{node.op} is not a unit-wise operation"
        return rule([self._name(i) for i in node.inputs], node.value)

    def reduction(self, value: int) -> Reduction | None:
        """Return how a node combines the units of a head, None if it does not."""
        return OPERATIONS[self.node(value).op].reduction

    def statistics(self, value: int, back: bool = False) -> list[tuple[str, str, str]]:
        """Return what a reducing node needs of all units: (name, kind, expression of a unit).

        The names are `m5_0`, `m5_1`, … for node 5; `e5` is its gradient.
        """
        reduction = self.reduction(value)
        assert reduction is not None
        wanted = reduction.back_statistics if back else reduction.statistics
        return [
            (f"m{value}_{i}", kind, self._filled(value, text))
            for i, (kind, text) in enumerate(wanted)
        ]

    def reduced_gradient(self, value: int) -> str:
        """Return the gradient of a reducing node's input, with the names of `statistics`."""
        reduction = self.reduction(value)
        assert reduction is not None
        return self._filled(value, reduction.gradient)

    def _filled(self, value: int, text: str) -> str:
        """Return an expression of a reduction with the names of its node."""
        names = {"a": f"v{self.node(value).inputs[0]}", "y": f"v{value}", "g": f"e{value}"}
        return text.format(**names, **{f"m{i}": f"m{value}_{i}" for i in range(4)})

    def _name(self, value: int) -> str:
        """Return the name of a value, or the number if it is a constant."""
        constant = self.is_node(value) and self.node(value).op == "constant"
        return self.expression(value) if constant else f"v{value}"


def values_in(expressions: Sequence[str]) -> list[int]:
    """Return the numbers of the values that expressions read."""
    return sorted({int(n) for text in expressions for n in re.findall(r"\bv(\d+)\b", text)})


@lru_cache(maxsize=4096)
def inlined_numbers(cell: CellSpec) -> frozenset[int]:
    """Return the constants that are only written into expressions, and need no gradient."""
    first = cell.states + 1
    whole = {i for n in cell.nodes if n.op == "diagonal" or crosses_units(n.op) for i in n.inputs}
    numbers = {first + k for k, node in enumerate(cell.nodes) if node.op == "constant"}
    return frozenset(numbers - whole - set(cell.outputs))


@lru_cache(maxsize=4096)
def schedule_of(cell: CellSpec) -> Schedule:
    """Return the schedule of a cell. Raises `InvalidCell` if it cannot be compiled."""
    for i, value in enumerate(cell.outputs):
        if value <= cell.states:
            name = f"h_prev_{value - 1}" if value else "x"
            raise InvalidCell(f'"h_new_{i}" is "{name}" itself: add an identity node between')
    forward, reverse = _forward_levels(cell), _reverse_levels(cell)
    for value in inlined_numbers(cell):
        del forward[value], reverse[value]
    first = Schedule(cell, layout_of(cell), _grouped(forward), _grouped(reverse), (), ())
    kept, partial = set(), set()
    for value in sorted(forward):
        node = first.node(value)
        if node.op == "diagonal" or crosses_units(node.op):
            kept.update(node.inputs)  # for the gradient of the weights, or of the other units
        if reduction := first.reduction(value):
            partial.add(value)
            if "{y}" in str(reduction):
                kept.add(value)
        if not crosses_units(node.op):
            kept.update(
                i
                for i in values_in([first.expression(value)])
                if forward.get(i, 0) < forward[value]
            )
            kept.update(values_in([text for _, text in first.gradients(value)]))
            partial.update(i for i, _ in first.gradients(value) if reverse[value] < reverse[i])
    nodes = range(cell.states + 1, cell.states + 1 + len(cell.nodes))
    return Schedule(
        cell,
        first.layout,
        first.forward,
        first.reverse,
        tuple(v for v in nodes if v in kept and v not in cell.outputs),
        tuple(sorted(partial)),
    )


def _forward_levels(cell: CellSpec) -> dict[int, int]:
    """Return how many matrix products precede each value; 0 for x and the previous states."""
    levels = dict.fromkeys(range(cell.states + 1), 0)
    for k, node in enumerate(cell.nodes):
        if crosses_units(node.op):
            level = max((levels[i] + 1 for i in node.inputs if i != 0), default=0)
        else:
            level = max((levels[i] for i in node.inputs), default=0)
        levels[cell.states + 1 + k] = level
    return {value: level for value, level in levels.items() if value > cell.states}


def _reverse_levels(cell: CellSpec) -> dict[int, int]:
    """Return how many transposed products lie between each value's gradient and new states."""
    levels = dict.fromkeys(range(cell.states + 1 + len(cell.nodes)), 0)
    for k in reversed(range(len(cell.nodes))):
        node = cell.nodes[k]
        level = levels[cell.states + 1 + k] + crosses_units(node.op)
        for source in node.inputs:
            levels[source] = max(levels[source], level)
    return dict(reversed([(value, level) for value, level in levels.items() if value != 0]))


def _grouped(levels: dict[int, int]) -> tuple[tuple[int, ...], ...]:
    groups = (
        tuple(value for value, at in levels.items() if at == level)
        for level in range(max(levels.values()) + 1)
    )
    return tuple(group for group in groups if group)
