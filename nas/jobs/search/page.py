"""The HTML page of a search."""

from collections import Counter
from html import escape

from nas.jobs.search.summary import RunSummary
from nas.jobs.search.table import front_rows, headline, survivor_rows
from nas.loop.candidate import best_first
from nas.reporting.html import document, figure, folded, table


def page(summary: RunSummary, figures: dict[str, str], cells: dict[int, str]) -> str:
    """The page.

    figures: caption → SVG. cells: number of a candidate → SVG of its graph.
    """
    best = best_first(summary.candidates)
    parts = [
        f"<p>{escape(headline(summary))}{'' if summary.finished else ' — not finished'}</p>",
        _facts(summary),
        *(["<h2>Pareto front</h2>", table(front_rows(summary))] if summary.front else []),
        "<h2>Survivors</h2>",
        table(survivor_rows(summary)),
        *(figure(svg, caption) for caption, svg in figures.items()),
        "<h2>The best architectures</h2>",
    ]
    for candidate in best[:3]:
        caption = f"candidate {candidate.number}, {candidate.digest}"
        parts.append(figure(cells[candidate.number], caption) if candidate.number in cells else "")
        text = escape(candidate.architecture.to_json())
        parts.append(folded(f"{caption} as JSON", f"<pre>{text}</pre>"))
    parts += ["<h2>Failures</h2>", _failures(summary), "<h2>All candidates</h2>", _all(summary)]
    parts.append(f"<p><code>{escape(summary.command)}</code></p>")
    return document(summary.name, parts)


def _facts(summary: RunSummary) -> str:
    best = best_first(summary.candidates)
    facts = {"space": summary.space, "controller": summary.controller, "task": summary.task}
    if best:
        facts[f"best {summary.metric}"] = f"{best[0].rungs[-1].metric:.4g}"
    items = "".join(f"<div>{escape(k)}<b>{escape(v)}</b></div>" for k, v in facts.items())
    return f'<div class="facts">{items}</div>'


def _failures(summary: RunSummary) -> str:
    reasons = Counter(c.failed for c in summary.candidates if c.failed)
    if not reasons:
        return "<p>None.</p>"
    return table([["times", "reason"], *([n, reason] for reason, n in reasons.most_common())])


def _all(summary: RunSummary) -> str:
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
    return folded(f"{len(rows)} candidates", table([head, *rows]))
