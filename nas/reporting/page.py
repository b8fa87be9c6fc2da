"""One self-contained HTML page for a run."""

from collections import Counter
from html import escape

from nas.record import best_first
from nas.reporting.summary import RunSummary
from nas.reporting.table import front_rows, headline, survivor_rows

STYLE = """
:root { color-scheme: light dark; --line: #8884; --panel: #fff; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
h1 { margin-bottom: 0; } h2 { margin-top: 2.5rem; }
.facts { display: flex; flex-wrap: wrap; gap: 1.5rem; margin: 1.5rem 0; }
.facts b { display: block; font-size: 1.5rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 0.9rem; }
th, td { text-align: right; padding: 0.25rem 0.7rem; border-bottom: 1px solid var(--line); }
code, pre { font-size: 0.85rem; } pre { overflow-x: auto; }
figure { margin: 1rem 0; background: var(--panel); border-radius: 6px; padding: 0.5rem; }
figure svg { max-width: 100%; height: auto; } figcaption { color: #555; font-size: 0.85rem; }
"""


def page(summary: RunSummary, figures: dict[str, str], cells: dict[int, str]) -> str:
    """The page.

    figures: caption → SVG. cells: number of a candidate → SVG of its graph.
    """
    best = best_first(summary.candidates)
    parts = [
        f"<h1>{escape(summary.name)}</h1>",
        f"<p>{escape(headline(summary))}{'' if summary.finished else ' — not finished'}</p>",
        _facts(summary),
        *(["<h2>Pareto front</h2>", _table(front_rows(summary))] if summary.front else []),
        "<h2>Survivors</h2>",
        _table(survivor_rows(summary)),
        *(_figure(svg, caption) for caption, svg in figures.items()),
        "<h2>The best architectures</h2>",
    ]
    for candidate in best[:3]:
        caption = f"candidate {candidate.number}, {candidate.digest}"
        parts.append(_figure(cells[candidate.number], caption) if candidate.number in cells else "")
        text = escape(candidate.architecture.to_json())
        parts.append(f"<details><summary>{caption} as JSON</summary><pre>{text}</pre></details>")
    parts += ["<h2>Failures</h2>", _failures(summary), "<h2>All candidates</h2>", _all(summary)]
    body = "\n".join(parts)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(summary.name)}</title><style>{STYLE}</style></head>"
        f"<body>{body}<p><code>{escape(summary.command)}</code></p></body></html>\n"
    )


def _facts(summary: RunSummary) -> str:
    best = best_first(summary.candidates)
    facts = {"space": summary.space, "controller": summary.controller, "task": summary.task}
    if best:
        facts[f"best {summary.metric}"] = f"{best[0].rungs[-1].metric:.4g}"
    items = "".join(f"<div>{escape(k)}<b>{escape(v)}</b></div>" for k, v in facts.items())
    return f'<div class="facts">{items}</div>'


def _table(rows: list[list]) -> str:
    head, *body = rows
    cells = "".join(f"<th>{escape(str(cell))}</th>" for cell in head)
    lines = "".join(
        "<tr>" + "".join(f"<td>{escape(_shown(cell))}</td>" for cell in row) + "</tr>"
        for row in body
    )
    return f'<div class="wide"><table><tr>{cells}</tr>{lines}</table></div>'


def _shown(cell: object) -> str:
    if cell is None:
        return "–"
    return f"{cell:.5g}" if isinstance(cell, float) else str(cell)


def _figure(svg: str, caption: str) -> str:
    return f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>"


def _failures(summary: RunSummary) -> str:
    reasons = Counter(c.failed for c in summary.candidates if c.failed)
    if not reasons:
        return "<p>None.</p>"
    return _table([["times", "reason"], *([n, reason] for reason, n in reasons.most_common())])


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
    return f"<details><summary>{len(rows)} candidates</summary>{_table([head, *rows])}</details>"
