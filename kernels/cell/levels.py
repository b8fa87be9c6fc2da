"""Computations of each level of a schedule for one unit, as expressions of `operations.py`.

Names: `v5` is value 5, `d5` its gradient, `z5` the sum of its matrix products, `w5` the weight of
diagonal node 5, `s5` the gradient of value 5 gathered by other levels, `m5_0` a statistic of
reducing node 5 and `e5` its complete gradient, `total0` the gradient that reaches new state 0, and
`live` whether the sequence is still running.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from kernels.cell.operations import crosses_units
from kernels.cell.schedule import Schedule, values_in


@dataclass(frozen=True, slots=True)
class Level:
    """One level, forward or backward.

    products: for each name `z…`, pairs of a connection and its matrix's argument: the source's
        value number forward, the linear node's row backward.
    statistics: sums over the units of a head, before the lines: (name, kind, expression).
    lines: assignments in order, (name, expression).
    stores: outputs, (where, index, name): forward, a "kept" slot or a "state"; backward, a
        "gradient" row, a "partial" slot or a "carried" state.
    """

    products: dict[int, list[tuple[int, int]]]
    lines: list[tuple[str, str]]
    stores: list[tuple[str, int, str]]
    statistics: list[tuple[str, str, str]]

    def values(self) -> list[int]:
        """Return the values that this level reads but does not compute."""
        assigned = {name for name, _ in self.lines}
        return [v for v in values_in(self._texts()) if f"v{v}" not in assigned]

    def numbered(self, letter: str) -> list[int]:
        """Return the numbers of the names with one letter (or word) that expressions read."""
        texts = " ".join(self._texts())
        return sorted({int(n) for n in re.findall(rf"\b{letter}(\d+)\b", texts)})

    def _texts(self) -> list[str]:
        return [text for _, text in self.lines]


def forward_level(schedule: Schedule, level: int) -> Level:
    """Return a forward level: products, then unit-wise operations."""
    layout, outputs = schedule.layout, schedule.cell.outputs
    products, lines, stores, statistics = {}, [], [], []
    for v in schedule.forward[level]:
        if schedule.reduction(v):
            statistics += schedule.statistics(v)
        if v in layout.linears:
            row = layout.linears.index(v)
            products[v] = [
                (c, source) for c, (source, to) in enumerate(layout.connections) if to == row
            ]
        lines.append((f"v{v}", f"z{v}" if v in products else schedule.expression(v)))
        if v in schedule.kept:
            stores.append(("kept", schedule.kept.index(v), f"v{v}"))
        stores += [("state", k, f"v{v}") for k, output in enumerate(outputs) if output == v]
    return Level(products, lines, stores, statistics)


def reverse_level(schedule: Schedule, level: int) -> Level:
    """Return a reverse level: the gradients that it completes and passes on."""
    here, layout = schedule.reverse[level], schedule.layout
    products, lines, stores, statistics = {}, [], [], []
    for v in here:
        users = [(c, row) for c, (source, row) in enumerate(layout.connections) if source == v]
        if users:
            products[v] = users
        terms = [f"z{v}"] if users else []
        for reducing in _reducing(schedule, v):
            statistics += schedule.statistics(reducing, back=True)
            terms.append(schedule.reduced_gradient(reducing))
        terms += [f"s{v}"] if v in schedule.partial and _gathered_before(schedule, v, level) else []
        lines.append((f"d{v}", " + ".join([*terms, *arriving(schedule, v)]) or "full(0.0)"))
    passed: dict[int, list[str]] = {}
    for v in here:
        if not schedule.is_node(v):
            lines.append((f"next{v}", f"d{v} + where(live, 0, total{v - 1})"))
            stores.append(("carried", v - 1, f"next{v}"))
        elif (row := schedule.gradient_row(v)) is not None:
            stores.append(("gradient", row, f"d{v}"))
        elif schedule.reduction(v):
            stores.append(("partial", schedule.partial.index(v), f"d{v}"))
        for source, expression in schedule.gradients(v) if schedule.is_node(v) else []:
            if source in here:
                lines.append((f"d{source}", f"d{source} + {expression}"))
            else:
                passed.setdefault(source, []).append(expression)
    for source, expressions in passed.items():
        before = [f"s{source}"] if _gathered_before(schedule, source, level) else []
        lines.append((f"sum{source}", " + ".join([*before, *expressions])))
        stores.append(("partial", schedule.partial.index(source), f"sum{source}"))
    return Level(products, lines, stores, statistics)


def _reducing(schedule: Schedule, value: int) -> list[int]:
    """Return the reducing nodes that read a value."""
    first = schedule.cell.states + 1
    nodes = range(first, first + len(schedule.cell.nodes))
    return [v for v in nodes if schedule.reduction(v) and value in schedule.node(v).inputs]


def arriving(schedule: Schedule, value: int) -> Iterable[str]:
    """Return the gradients that reach a value from new states while the sequence is running."""
    return [
        f"where(live, total{k}, 0)" for k, out in enumerate(schedule.cell.outputs) if out == value
    ]


def _gathered_before(schedule: Schedule, value: int, level: int) -> bool:
    """Return whether an earlier level has passed a gradient to a value."""
    return any(
        source == value
        for before in schedule.reverse[:level]
        for node in before
        if schedule.is_node(node) and not crosses_units(schedule.node(node).op)
        for source in schedule.node(node).inputs
    )
