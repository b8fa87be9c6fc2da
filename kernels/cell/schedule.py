"""The order in which a cell is computed, forward and backward, in as few levels as possible.

A matrix product needs all units of its inputs, so everything between two products forms a level. A
forward level is a group of products and the unit-wise operations that follow; a backward level is
the same from the other end. Within a level, units are independent.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from kernels.cell.operations import OPERATIONS
from kernels.cell.spec import CellSpec, InvalidCell, Node
from kernels.cell.weights import Layout, layout_of


@dataclass(frozen=True, slots=True)
class Schedule:
    """When each value is computed; values are numbered as in `CellSpec`.

    forward: each level's nodes in computing order.
    reverse: each level's nodes and previous states whose gradient it completes.
    kept: the nodes, except new states, that other levels or the backward pass read.
    partial: the values whose gradient accumulates over several levels.
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
        if node.op == "linear":
            return []
        if node.op == "diagonal":
            return [(node.inputs[0], f"d{value} * w{value}")]
        rule = OPERATIONS[node.op].gradients
        assert rule is not None, f"{node.op} is not a unit-wise operation"
        return list(
            zip(
                node.inputs,
                rule([f"v{i}" for i in node.inputs], f"v{value}", f"d{value}"),
                strict=True,
            )
        )

    def expression(self, value: int) -> str:
        """Return the expression of a unit-wise node, with the names of `gradients`."""
        node = self.node(value)
        if node.op == "diagonal":
            return f"v{node.inputs[0]} * w{value}"
        rule = OPERATIONS[node.op].value
        assert rule is not None, f"{node.op} is not a unit-wise operation"
        return rule([f"v{i}" for i in node.inputs], node.value)


def values_in(expressions: Sequence[str]) -> list[int]:
    """Return the numbers of the values that expressions read."""
    return sorted({int(n) for text in expressions for n in re.findall(r"\bv(\d+)\b", text)})


@lru_cache(maxsize=4096)
def schedule_of(cell: CellSpec) -> Schedule:
    """Return the schedule of a cell. Raises `InvalidCell` if it cannot be compiled."""
    for i, value in enumerate(cell.outputs):
        if value <= cell.states:
            name = f"h_prev_{value - 1}" if value else "x"
            raise InvalidCell(f'"h_new_{i}" is "{name}" itself: add an identity node between')
    forward, reverse = _forward_levels(cell), _reverse_levels(cell)
    first = Schedule(cell, layout_of(cell), _grouped(forward), _grouped(reverse), (), ())
    kept, partial = set(), set()
    for k, node in enumerate(cell.nodes):
        value = cell.states + 1 + k
        if node.op in ("linear", "diagonal"):
            kept.update(node.inputs)  # for the gradient of the weights
        if node.op != "linear":
            kept.update(i for i in node.inputs if forward.get(i, 0) < forward[value])
            kept.update(values_in([text for _, text in first.gradients(value)]))
            partial.update(i for i in node.inputs if reverse[value] < reverse[i])
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
        if node.op == "linear":
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
        level = levels[cell.states + 1 + k] + (node.op == "linear")
        for source in node.inputs:
            levels[source] = max(levels[source], level)
    return dict(reversed([(value, level) for value, level in levels.items() if value != 0]))


def _grouped(levels: dict[int, int]) -> tuple[tuple[int, ...], ...]:
    groups = (
        tuple(value for value, at in levels.items() if at == level)
        for level in range(max(levels.values()) + 1)
    )
    return tuple(group for group in groups if group)
