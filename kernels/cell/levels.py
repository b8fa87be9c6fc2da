"""What each level of a schedule computes for one unit, in the expressions of `operations.py`.

Names: `v5` value 5, `d5` its gradient, `z5` the sum of its matrix products, `w5` the weight of
diagonal node 5, `s5` the gradient of value 5 that other levels have gathered, `total0` the
gradient that reaches new state 0, `live` whether the sequence still runs.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from kernels.cell.schedule import Schedule, values_in


@dataclass(frozen=True, slots=True)
class Level:
    """One level, forward or backward.

    products: for each name `z…` the pairs of a connection and what its matrix is applied to:
        forward the source's value number, backward the linear node's row.
    lines: assignments in order, (name, expression).
    stores: what is written, (where, index, name): forward "kept" slot or "state", backward
        "gradient" row, "partial" slot or "carried" state.
    """

    products: dict[int, list[tuple[int, int]]]
    lines: list[tuple[str, str]]
    stores: list[tuple[str, int, str]]

    def values(self) -> list[int]:
        """The values that are read and not computed here."""
        assigned = {name for name, _ in self.lines}
        return [v for v in values_in(self._texts()) if f"v{v}" not in assigned]

    def numbered(self, letter: str) -> list[int]:
        """The numbers of the names of one letter (or word) that expressions read."""
        texts = " ".join(self._texts())
        return sorted({int(n) for n in re.findall(rf"\b{letter}(\d+)\b", texts)})

    def _texts(self) -> list[str]:
        return [text for _, text in self.lines]


def forward_level(schedule: Schedule, level: int) -> Level:
    """The nodes of a forward level: products, then what follows unit by unit."""
    layout, outputs = schedule.layout, schedule.cell.outputs
    products, lines, stores = {}, [], []
    for v in schedule.forward[level]:
        if v in layout.linears:
            row = layout.linears.index(v)
            products[v] = [
                (c, source) for c, (source, to) in enumerate(layout.connections) if to == row
            ]
        lines.append((f"v{v}", f"z{v}" if v in products else schedule.expression(v)))
        if v in schedule.kept:
            stores.append(("kept", schedule.kept.index(v), f"v{v}"))
        stores += [("state", k, f"v{v}") for k, output in enumerate(outputs) if output == v]
    return Level(products, lines, stores)


def reverse_level(schedule: Schedule, level: int) -> Level:
    """The gradients that are completed at a reverse level, and what they pass on."""
    here, layout = schedule.reverse[level], schedule.layout
    products, lines, stores = {}, [], []
    for v in here:
        users = [(c, row) for c, (source, row) in enumerate(layout.connections) if source == v]
        if users:
            products[v] = users
        terms = [f"z{v}"] if users else []
        terms += [f"s{v}"] if v in schedule.partial and _gathered_before(schedule, v, level) else []
        lines.append((f"d{v}", " + ".join([*terms, *arriving(schedule, v)]) or "full(0.0)"))
    passed: dict[int, list[str]] = {}
    for v in here:
        if not schedule.is_node(v):
            lines.append((f"next{v}", f"d{v} + where(live, 0, total{v - 1})"))
            stores.append(("carried", v - 1, f"next{v}"))
        elif (row := schedule.gradient_row(v)) is not None:
            stores.append(("gradient", row, f"d{v}"))
        for source, expression in schedule.gradients(v) if schedule.is_node(v) else []:
            if source in here:
                lines.append((f"d{source}", f"d{source} + {expression}"))
            else:
                passed.setdefault(source, []).append(expression)
    for source, expressions in passed.items():
        before = [f"s{source}"] if _gathered_before(schedule, source, level) else []
        lines.append((f"sum{source}", " + ".join([*before, *expressions])))
        stores.append(("partial", schedule.partial.index(source), f"sum{source}"))
    return Level(products, lines, stores)


def arriving(schedule: Schedule, value: int) -> Iterable[str]:
    """What reaches a value from the new states, where the sequence still runs."""
    return [
        f"where(live, total{k}, 0)" for k, out in enumerate(schedule.cell.outputs) if out == value
    ]


def _gathered_before(schedule: Schedule, value: int, level: int) -> bool:
    """Whether a level before this one has passed gradient to a value."""
    return any(
        source == value
        for before in schedule.reverse[:level]
        for node in before
        if schedule.is_node(node) and schedule.node(node).op != "linear"
        for source in schedule.node(node).inputs
    )
