"""The report of a run of `nas compress`, `sweep` or `adapt`: what it printed, figures, rows."""

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from nas.core.files import write_atomically
from nas.reporting.html import document, figure, folded, table
from nas.reporting.table import as_csv

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TEXT, FACTS = "report.txt", "report.json"


class Report(NamedTuple):
    """text: as printed. facts: as printed by --json. figures: file name → caption and figure.
    rows: what else was measured, the first row names the columns."""

    text: str
    facts: Mapping[str, Any]
    figures: Mapping[str, tuple[str, "Figure"]]
    rows: Sequence[Sequence[object]]


def write_report_files(outcome: Report, name: str, folder: Path) -> None:
    """`report.html`, `report.txt`, `report.json`, `rows.csv`, each figure as SVG and PNG."""
    from nas.reporting.figure import save_figure  # imports matplotlib; reading needs none

    drawn = [
        figure(save_figure(picture, folder / file), caption)
        for file, (caption, picture) in outcome.figures.items()
    ]
    listed = folded(f"{len(outcome.rows) - 1} rows", table(outcome.rows))
    printed = f"<pre>{escape(outcome.text)}</pre>"
    write_atomically(folder / "rows.csv", as_csv(outcome.rows))
    write_atomically(folder / TEXT, outcome.text + "\n")
    write_atomically(folder / FACTS, json.dumps(outcome.facts, indent=1))
    write_atomically(folder / "report.html", document(name, [printed, *drawn, listed]))


def read_report_files(folder: Path) -> tuple[str, dict[str, Any]] | None:
    """The text and the facts of a report; None where there is none."""
    if not (folder / FACTS).exists():
        return None
    return (folder / TEXT).read_text().rstrip("\n"), json.loads((folder / FACTS).read_text())
