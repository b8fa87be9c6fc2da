"""The report of a run: the text and facts that a command prints, and an HTML page."""

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from nas.core.files import write_atomically
from nas.core.json_text import to_json
from nas.reporting.explorer import Explorer
from nas.reporting.html import document, explorer, figure, folded
from nas.reporting.table import as_csv

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAGE, TEXT, FACTS = "report.html", "report.txt", "report.json"


class Drawing(NamedTuple):
    """A figure on the page. name: its file name without a suffix."""

    name: str
    caption: str
    figure: "Figure"


class Report(NamedTuple):
    """The contents of a run's report.

    title: the page's title. text: what the command prints. facts: what `--json` prints.
    page: the parts of the page in order, as HTML, explorers or drawings; drawings come last.
    tables: rows by file name; the first row holds the column names.
    """

    title: str
    text: str
    facts: Mapping[str, Any]
    page: Sequence[str | Explorer | Drawing]
    tables: Mapping[str, Sequence[Sequence[object]]]


def write_report(report: Report, folder: Path) -> Path:
    """Write the page, text, facts, tables as CSV, and figures as SVG and PNG; returns the page."""
    from nas.reporting.figure import save_figure  # imports matplotlib, which reading does not need

    drawn = "".join(
        figure(save_figure(part.figure, folder / part.name), part.caption)
        for part in report.page
        if isinstance(part, Drawing)
    )
    parts = _parts(report)
    if drawn:
        parts += [
            "<h2>Figures for papers</h2>",
            folded("also beside this page, as SVG and PNG", drawn),
        ]
    for name, rows in report.tables.items():
        write_atomically(folder / name, as_csv(rows))
    write_atomically(folder / TEXT, report.text + "\n")
    write_atomically(folder / FACTS, to_json(report.facts, indent=1))
    write_atomically(folder / PAGE, document(report.title, parts))
    return folder / PAGE


def served_page(report: Report, follow: float) -> str:
    """Return the page without drawings, which asks for newer content every `follow` seconds."""
    return document(report.title, _parts(report), follow)


def write_page(path: Path, title: str, text: str, rows: Explorer) -> None:
    """Write a page of a text and of rows to explore, to one file."""
    write_atomically(path, document(title, [printed(text), explorer(rows)]))


def _parts(report: Report) -> list[str]:
    return [
        explorer(part) if isinstance(part, Explorer) else part
        for part in report.page
        if not isinstance(part, Drawing)
    ]


def read_report(folder: Path) -> tuple[str, dict[str, Any]]:
    """Return the text and the facts of a written report."""
    text = (folder / TEXT).read_text(encoding="utf-8").rstrip("\n")
    return text, json.loads((folder / FACTS).read_text(encoding="utf-8"))


def printed(text: str) -> str:
    """Return text as a preformatted part of a page."""
    return f"<pre>{escape(text)}</pre>"
