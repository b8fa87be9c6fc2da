"""The rows of a benchmark for a page, to sort, plot, open and compare."""

from collections.abc import Mapping, Sequence

from nas.reporting.explorer import Cell, Column, Curve, Explorer, Row


def explorer_of(
    title: str,
    noun: str,
    columns: Sequence[Column],
    labels: Sequence[str],
    cells: Sequence[Mapping[str, Cell]],
    axes: tuple[str, str],
    curves: Sequence[Curve] = (),
) -> Explorer:
    """Return measured rows, numbered in their order.

    cells: each row's values by column. axes: the columns that the plot shows first, across and up;
    the second also colours lines and sorts the table.
    """
    x, y = axes
    better = {column.name: column.better for column in columns}[y]
    varied = [c.name for c in columns if len({str(row.get(c.name)) for row in cells}) > 1]
    return Explorer(
        title=title,
        noun=noun,
        columns=[Column("#", ""), *columns],
        rows=[
            Row(i, label, "trained", {"#": i, **row}, curve=curves[i] if curves else None)
            for i, (label, row) in enumerate(zip(labels, cells, strict=True))
        ],
        table=[column.name for column in columns],
        axes=varied,
        x=x,
        y=y,
        colour=y,
        sort=(y, better > 0),
        curves=("regret",) if curves else (),
        curve_unit="trained model",
    )
