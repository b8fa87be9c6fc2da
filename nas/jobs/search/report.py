"""The report of a search: survivors, figures, the best architectures, failures, all candidates."""

from collections import Counter
from html import escape
from typing import Any

from nas.core.errors import BadInput
from nas.core.registry import create
from nas.jobs.search.figures import course, front, score_against_loss, training
from nas.jobs.search.summary import SearchSummary
from nas.jobs.search.table import front_rows, headline, survivor_rows, survivors_table
from nas.loop.objectives import named_objectives
from nas.reporting.drawing import draw
from nas.reporting.html import folded, table
from nas.reporting.report import Drawing, Report
from search_spaces.space import SearchSpace

DRAWN = 3  # how many of the best architectures to draw
LISTED = 1000  # rows of a table on the page


def search_report(summary: SearchSummary) -> Report:
    """Return the report of a search, finished or not."""
    page = [
        f"<p>{escape(headline(summary))}{'' if summary.finished else ' — not finished'}</p>",
        _facts(summary),
        *(["<h2>Pareto front</h2>", table(front_rows(summary))] if summary.front else []),
        "<h2>Survivors</h2>",
        table(survivor_rows(summary)[: LISTED + 1]),
        *_figures(summary),
        "<h2>The best architectures</h2>",
        *_architectures(summary),
        "<h2>Failures</h2>",
        _failures(summary),
        "<h2>All candidates</h2>",
        folded(f"{len(summary.candidates)} candidates", table(_all_rows(summary)[: LISTED + 1])),
        f"<p>candidates.csv lists all; this page at most {LISTED}.</p>",
        f"<p><code>{escape(summary.command)}</code></p>",
    ]
    tables = {"survivors.csv": survivor_rows(summary), "candidates.csv": _all_rows(summary)}
    return Report(summary.name, survivors_table(summary), search_facts(summary), page, tables)


def search_facts(summary: SearchSummary) -> dict[str, Any]:
    """Return what `nas search --json` prints."""
    front = [
        {"number": c.number, "digest": c.digest, **named_objectives(c, summary.objectives)}
        for c in summary.front
    ]
    return {
        "run": str(summary.folder),
        "finished": summary.finished,
        "candidates": len(summary.candidates),
        "unique": len({c.digest for c in summary.candidates}),
        "failed": sum(c.failed is not None for c in summary.candidates),
        "trained": sum(bool(c.rungs) for c in summary.candidates),
        "metric": summary.metric,
        "survivors": [
            {
                "number": c.number,
                "digest": c.digest,
                "parameters": c.parameters,
                "scores": c.scores,
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


def _architectures(summary: SearchSummary) -> list[str | Drawing]:
    """Return the drawings of the best architectures, each followed by its JSON."""
    config = summary.config.space
    parts: list[str | Drawing] = []
    try:
        space = create("spaces", config.name, config.options)
        drawings = {d.caption: d for d in best_drawings(summary, space)}
    except BadInput as error:  # the space's code is not here, or not trusted
        drawings = {}
        parts.append(f"<p>Not drawn: {escape(str(error))}</p>")
    for candidate in summary.best[:DRAWN]:
        caption = f"candidate {candidate.number}, {candidate.digest}"
        if caption in drawings:
            parts.append(drawings[caption])
        text = escape(candidate.architecture.to_json())
        parts.append(folded(f"{caption} as JSON", f"<pre>{text}</pre>"))
    return parts


def _facts(summary: SearchSummary) -> str:
    best = summary.best
    config = summary.config
    facts = {
        "space": config.space.name,
        "controller": config.controller.name,
        "task": config.task.name,
    }
    if best:
        facts[f"best {summary.metric}"] = f"{best[0].rungs[-1].metric:.4g}"
    items = "".join(f"<div>{escape(k)}<b>{escape(v)}</b></div>" for k, v in facts.items())
    return f'<div class="facts">{items}</div>'


def _failures(summary: SearchSummary) -> str:
    reasons = Counter(c.failed for c in summary.candidates if c.failed)
    if not reasons:
        return "<p>None.</p>"
    return table([["times", "reason"], *([n, reason] for reason, n in reasons.most_common())])


def _all_rows(summary: SearchSummary) -> list[list]:
    names = summary.score_names
    head = ["#", "digest", "parameters", "flops", *names, "loss", "equal to", "failed"]
    rows = [
        [
            c.number,
            c.digest,
            c.parameters,
            c.flops,
            *(c.scores.get(name) for name in names),
            c.rungs[-1].loss if c.rungs else None,
            c.duplicate_of,
            c.failed,
        ]
        for c in summary.candidates
    ]
    return [head, *rows]
