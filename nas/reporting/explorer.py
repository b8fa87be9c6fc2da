"""Explorer: rows that a reader of a page sorts, filters, plots, opens and compares."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

Role = Literal["", "result", "score", "cost", "graph", "decision"]
Status = Literal["trained", "screened", "failed", "duplicate"]
Cell = None | bool | int | float | str

STATUSES: tuple[Status, ...] = ("trained", "screened", "failed", "duplicate")
DIGITS = 6  # of a number on the page; the tables as CSV hold all


class Column(NamedTuple):
    """A column of values.

    role: the group in which an open row lists it; "" for one that only plots use.
    unit: "" for a number without a unit, and for text.
    better: 1 if higher is better, -1 if lower is better, 0 if neither is known.
    error: the column that holds the half-width of each value's interval; "" for none.
    """

    name: str
    role: Role
    unit: str = ""
    better: int = 0
    error: str = ""


class Graph(NamedTuple):
    """A graph to draw. nodes: (label, kind). edges: (from, to) as places in `nodes`."""

    nodes: tuple[tuple[str, str], ...]
    edges: tuple[tuple[int, int], ...]


class Curve(NamedTuple):
    """The training of a row. values: one series per name of `Explorer.curves`, by step."""

    steps: tuple[int, ...]
    values: tuple[tuple[float | None, ...], ...]


@dataclass(frozen=True)
class Row:
    """One row. values: by column name; failed: why it failed."""

    number: int
    label: str
    status: Status
    values: Mapping[str, Cell]
    failed: str | None = None
    curve: Curve | None = None
    graph: Graph | None = None


def failed_rows(label: str, reasons: Iterable[str], first: int) -> list[Row]:
    """Return rows of what failed, numbered from `first`."""
    numbered = enumerate(reasons, start=first)
    return [Row(number, label, "failed", {"#": number}, reason) for number, reason in numbered]


@dataclass(frozen=True)
class Explorer:
    """A table, two plots and a panel for open rows, which share what the reader selects.

    noun: what a row is, for example "candidate". note: which rows are missing; "" for none.
    table, axes: the columns that the table and the parallel coordinates show first.
    x, y: the axes that the plot shows first. colour: the column that colours lines.
    sort: (column, whether descending) at first.
    curves, curve_unit: the names of each row's curves, and what their steps count.
    by_label: whether points of the Pareto front carry their labels, not their numbers.
    """

    title: str
    noun: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    table: Sequence[str]
    axes: Sequence[str]
    x: str
    y: str
    colour: str
    sort: tuple[str, bool] = ("#", False)
    curves: Sequence[str] = ()
    curve_unit: str = "training step"
    by_label: bool = field(default=False)
    note: str = ""

    def to_json(self) -> str:
        """Return the rows as JSON, by column, for the scripts of the page."""
        why, why_codes = _coded(row.failed for row in self.rows)
        name, down = self.sort
        data = {
            **{"title": self.title, "noun": self.noun, "x": self.x, "y": self.y},
            **{"colour": self.colour, "sort": {"name": name, "down": down}},
            "table": list(self.table),
            "axes": list(self.axes),
            "columns": [self._column(column) for column in self.columns],
            "numbers": [row.number for row in self.rows],
            "labels": [row.label for row in self.rows],
            "status": "".join(str(STATUSES.index(row.status)) for row in self.rows),
            "why": {"words": why, "codes": why_codes},
            "curveNames": list(self.curves),
            "curveUnit": self.curve_unit,
            "curves": {i: _curve(row.curve) for i, row in enumerate(self.rows) if row.curve},
            "graphs": self._graphs(),
            "short": self.by_label,
        }
        return json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)

    def _column(self, column: Column) -> dict[str, Any]:
        values = [row.values.get(column.name) for row in self.rows]
        if all(value is None or type(value) in (int, float) for value in values):
            return {**column._asdict(), "values": [_number(value) for value in values]}
        words, codes = _coded(_word(value) for value in values)
        return {**column._asdict(), "words": words, "codes": codes}

    def _graphs(self) -> dict[str, Any]:
        """Return all graphs, with every pair of label and kind once."""
        places: dict[tuple[str, str], int] = {}
        rows = {
            i: [
                [places.setdefault(node, len(places)) for node in row.graph.nodes],
                [end for edge in row.graph.edges for end in edge],
            ]
            for i, row in enumerate(self.rows)
            if row.graph
        }
        return {"labels": list(places), "rows": rows}


def values_of(explorer: Explorer, name: str) -> list[Cell]:
    """Return a column's values, by row."""
    return [row.values.get(name) for row in explorer.rows]


def _curve(curve: Curve) -> dict[str, Any]:
    return {"steps": curve.steps, "values": [[_number(v) for v in one] for one in curve.values]}


def _number(value: Any) -> int | float | None:
    """Return a number in few digits; None for one that JSON cannot hold."""
    if value is None or isinstance(value, int) or value == 0:
        return value
    if not math.isfinite(value):
        return None
    return round(value, DIGITS - 1 - math.floor(math.log10(abs(value))))


def _word(value: Cell) -> str | None:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if value is None or isinstance(value, str) else f"{value:.5g}"


def _coded(values: Iterable[str | None]) -> tuple[list[str], list[int]]:
    """Return the sorted words, and each value's place among them, -1 for None."""
    kept = list(values)
    words = sorted({value for value in kept if value is not None})
    places = {word: place for place, word in enumerate(words)}
    return words, [-1 if value is None else places[value] for value in kept]
