"""The report of a run: the text and facts that a command prints, and an HTML page."""

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from nas.core.files import write_atomically
from nas.core.json_text import to_json
from nas.reporting.html import document, figure
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
    page: the parts of the page in order, as HTML or drawings.
    tables: rows by file name; the first row holds the column names.
    """

    title: str
    text: str
    facts: Mapping[str, Any]
    page: Sequence[str | Drawing]
    tables: Mapping[str, Sequence[Sequence[object]]]


def write_report(report: Report, folder: Path) -> Path:
    """Write the page, text, facts, tables as CSV, and figures as SVG and PNG; returns the page."""
    from nas.reporting.figure import save_figure  # imports matplotlib, which reading does not need

    parts = [
        figure(save_figure(part.figure, folder / part.name), part.caption)
        if isinstance(part, Drawing)
        else part
        for part in report.page
    ]
    for name, rows in report.tables.items():
        write_atomically(folder / name, as_csv(rows))
    write_atomically(folder / TEXT, report.text + "\n")
    write_atomically(folder / FACTS, to_json(report.facts, indent=1))
    write_atomically(folder / PAGE, document(report.title, parts))
    return folder / PAGE


def read_report(folder: Path) -> tuple[str, dict[str, Any]]:
    """Return the text and the facts of a written report."""
    text = (folder / TEXT).read_text(encoding="utf-8").rstrip("\n")
    return text, json.loads((folder / FACTS).read_text(encoding="utf-8"))


def printed(text: str) -> str:
    """Return text as a preformatted part of a page."""
    return f"<pre>{escape(text)}</pre>"
