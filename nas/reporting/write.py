"""Writes a run's report: tables, figures, the page."""

import csv
import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure
from networkx import DiGraph

from nas.files import write_atomically
from nas.record import best_first
from nas.reporting.drawing import draw
from nas.reporting.figures import course, front, score_against_loss, training
from nas.reporting.page import page
from nas.reporting.summary import RunSummary
from nas.reporting.table import survivor_rows
from search_spaces.architecture import Architecture

DRAWN = 3  # best architectures whose graphs are drawn


def write_report(
    summary: RunSummary, folder: Path, graph_of: Callable[[Architecture], DiGraph | None]
) -> Path:
    """Write `report.html`, `survivors.csv` and every figure as SVG and PNG; returns the page.

    graph_of: the graph of an architecture, None where a space draws none.
    """
    figures = {
        "Scores and parameters against the trained loss": (
            "score-against-loss",
            score_against_loss,
        ),
        "The course of the search": ("search", course),
        "Training of the survivors": ("training", training),
    }
    if summary.front:
        figures = {
            "The Pareto front: nothing trained is better in one objective and worse in none": (
                "pareto-front",
                front,
            ),
            **figures,
        }
    drawn = {
        caption: written(figure(summary), folder / name)
        for caption, (name, figure) in figures.items()
    }
    cells = {}
    for rank, candidate in enumerate(best_first(summary.candidates)[:DRAWN], start=1):
        graph = graph_of(candidate.architecture)
        if graph is not None:
            picture = draw(graph, f"#{candidate.number}  {candidate.digest}")
            cells[candidate.number] = written(picture, folder / f"architecture-{rank}")
    write_atomically(folder / "survivors.csv", as_csv(survivor_rows(summary)))
    path = folder / "report.html"
    write_atomically(path, page(summary, drawn, cells))
    return path


def written(figure: Figure, path: Path) -> str:
    """The figure as SVG text, which is written beside a PNG; equal figures give equal files."""
    svg, png = io.StringIO(), io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": path.name, "svg.fonttype": "none"}):
        figure.savefig(svg, format="svg", metadata={"Date": None})
    figure.savefig(png, format="png", dpi=150, metadata={"Software": None})
    text = svg.getvalue()
    write_atomically(path.with_suffix(".svg"), text)
    write_atomically(path.with_suffix(".png"), png.getvalue())
    return re.sub(r"^.*?(?=<svg)", "", text, flags=re.DOTALL)


def as_csv(rows: Sequence[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
