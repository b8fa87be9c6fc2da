"""Writes a run's report: tables, figures, the page."""

from collections.abc import Callable
from pathlib import Path

from networkx import DiGraph

from nas.core.files import write_atomically
from nas.jobs.search.figures import course, front, score_against_loss, training
from nas.jobs.search.page import page
from nas.jobs.search.summary import RunSummary
from nas.jobs.search.table import survivor_rows
from nas.loop.candidate import best_first
from nas.reporting.drawing import draw
from nas.reporting.figure import save_figure
from nas.reporting.table import as_csv
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
        caption: save_figure(figure(summary), folder / name)
        for caption, (name, figure) in figures.items()
    }
    cells = {}
    for rank, candidate in enumerate(best_first(summary.candidates)[:DRAWN], start=1):
        graph = graph_of(candidate.architecture)
        if graph is not None:
            picture = draw(graph, f"#{candidate.number}  {candidate.digest}")
            cells[candidate.number] = save_figure(picture, folder / f"architecture-{rank}")
    write_atomically(folder / "survivors.csv", as_csv(survivor_rows(summary)))
    path = folder / "report.html"
    write_atomically(path, page(summary, drawn, cells))
    return path
