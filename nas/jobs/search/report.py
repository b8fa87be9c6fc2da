"""The report of a search: candidates to explore, what decides, survivors, figures."""

from html import escape
from typing import Any

from nas.core.errors import BadInput
from nas.core.registry import create
from nas.jobs.search.figures import course, front, score_against_loss, training
from nas.jobs.search.summary import SearchSummary
from nas.jobs.search.table import (
    front_rows,
    headline,
    settings_row,
    short,
    survivor_rows,
    survivors_table,
)
from nas.loop.objectives import named_objectives
from nas.reporting.candidates import Judged, candidate_explorer
from nas.reporting.drawing import draw
from nas.reporting.explorer import Explorer
from nas.reporting.html import bars, folded, table
from nas.reporting.importance import importances
from nas.reporting.report import Drawing, Report
from search_spaces.space import SearchSpace

DRAWN = 3  # how many of the best architectures to draw
LISTED = 20  # survivors on the page


def search_report(summary: SearchSummary) -> Report:
    """Return the report of a search, finished or not."""
    space, note = _space(summary)
    found = search_explorer(summary, space)
    page = [
        f"<p>{escape(headline(summary))}{'' if summary.finished else ' — not finished'}</p>",
        _facts(summary),
        *(["<h2>Pareto front</h2>", table(front_rows(summary))] if summary.front else []),
        found,
        "<h2>What decides</h2>",
        *_importances(found),
        "<h2>Survivors</h2>",
        table(survivor_rows(summary)[: LISTED + 1]),
        "<p>survivors.csv and candidates.csv list all.</p>",
        "<h2>The best architectures</h2>",
        *([f"<p>Not drawn: {escape(note)}</p>"] if note else []),
        *_architectures(summary),
        f"<p><code>{escape(summary.command)}</code></p>",
        *_figures(summary),
        *(best_drawings(summary, space) if space else []),
    ]
    tables = {"survivors.csv": survivor_rows(summary), "candidates.csv": _all_rows(summary)}
    return Report(summary.name, survivors_table(summary), search_facts(summary), page, tables)


def search_explorer(summary: SearchSummary, space: SearchSpace | None) -> Explorer:
    """Return the explorer of a search's candidates; without their graphs if there is no space."""
    judged = Judged(
        summary.objective, summary.metric, summary.higher_is_better, summary.scores, "graph"
    )
    if space is None:
        return candidate_explorer(summary.candidates, judged)
    return candidate_explorer(summary.candidates, judged, lambda c: space.graph(c.architecture))


def search_facts(summary: SearchSummary) -> dict[str, Any]:
    """Return what `nas search --json` prints."""
    limited = bool(summary.config.where)
    front = [
        {"number": c.number, "digest": c.digest, **named_objectives(c, summary.objectives)}
        for c in summary.front
    ]
    return {
        "run": str(summary.folder),
        "finished": summary.finished,
        "candidates": len(summary.candidates),
        "unique": summary.unique,
        "failed": sum(c.failed is not None for c in summary.candidates),
        **(
            {"infeasible": sum(bool(summary.missed(c)) for c in summary.candidates)}
            if limited
            else {}
        ),
        "trained": sum(bool(c.rungs) for c in summary.candidates),
        "metric": summary.metric,
        "survivors": [
            {
                "number": c.number,
                "digest": c.digest,
                "parameters": c.parameters,
                "scores": c.scores,
                **({"settings": dict(c.architecture.settings)} if summary.tuned else {}),
                "steps": c.rungs[-1].step,
                "validation": c.rungs[-1].metric,
                "validation_loss": c.rungs[-1].loss,
                **({"test_sets": summary.on_test_sets(c)} if summary.test_sets else {}),
                "checkpoint": str(summary.folder / c.rungs[-1].checkpoint),
            }
            for c in summary.best
        ],
        **({"pareto_front": front} if front else {}),
        "seconds": summary.seconds,
    }


def best_drawings(summary: SearchSummary, space: SearchSpace) -> list[Drawing]:
    """Return drawings of the best architectures, if the space provides graphs."""
    drawings = []
    for rank, candidate in enumerate(summary.best[:DRAWN], start=1):
        graph = space.graph(candidate.architecture)
        if graph is not None:
            caption = f"candidate {candidate.number}, {candidate.digest}"
            picture = draw(graph, f"#{candidate.number}  {candidate.digest}")
            drawings.append(Drawing(f"architecture-{rank}", caption, picture))
    return drawings


def _figures(summary: SearchSummary) -> list[Drawing]:
    figures = [
        Drawing(
            "score-against-loss",
            "Scores and parameters against the trained loss",
            score_against_loss(summary),
        ),
        Drawing("search", "Progress of the search", course(summary)),
        Drawing("training", "Training of the survivors", training(summary)),
    ]
    if summary.front:
        caption = "The Pareto front: candidates that no other dominates"
        figures.insert(0, Drawing("pareto-front", caption, front(summary)))
    return figures


def _space(summary: SearchSummary) -> tuple[SearchSpace | None, str]:
    """Return the space; None, and why, if its code is not here or not trusted."""
    config = summary.config.space
    try:
        return create("spaces", config.name, config.options), ""
    except BadInput as error:
        return None, str(error)


def _importances(found: Explorer) -> list[str]:
    """Return what explains the guiding score, and the objective, as bars."""
    guide = [column.name for column in found.columns if column.role == "score"][:1]
    result = [column.name for column in found.columns if column.role == "result"][:1]
    return [bars(*importances(found, name), name) for name in [*result, *guide]]


def _architectures(summary: SearchSummary) -> list[str]:
    """Return the best architectures as JSON."""
    return [
        folded(
            f"candidate {c.number}, {c.digest} as JSON",
            f"<pre>{escape(c.architecture.to_json())}</pre>",
        )
        for c in summary.best[:DRAWN]
    ]


def _facts(summary: SearchSummary) -> str:
    best = summary.best
    config = summary.config
    facts = {
        "space": config.space.name,
        "controller": config.controller.name,
        "task": config.task.name,
    }
    if best:
        facts[f"{summary.metric} of the best"] = f"{best[0].rungs[-1].metric:.4g}"
    items = "".join(f"<div>{escape(k)}<b>{escape(v)}</b></div>" for k, v in facts.items())
    return f'<div class="facts">{items}</div>'


def _all_rows(summary: SearchSummary) -> list[list]:
    """Return a header, then a row per candidate; those that miss a constraint come last."""
    names, tuned = summary.score_names, summary.tuned
    missed = ["misses"] if summary.config.where else []
    head = ["#", "digest", "parameters", "flops", *names, *short(tuned), "loss", "equal to"]
    head += [*missed, "failed"]
    rows = [
        [
            c.number,
            c.digest,
            c.parameters,
            c.flops,
            *(c.scores.get(name) for name in names),
            *settings_row(c, tuned),
            c.rungs[-1].loss if c.rungs else None,
            c.duplicate_of,
            *(summary.missed(c) for _ in missed),
            c.failed,
        ]
        for c in sorted(summary.candidates, key=lambda c: bool(summary.missed(c)))
    ]
    return [head, *rows]
