"""Pieces of a self-contained HTML page."""

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from html import escape
from importlib.resources import files

from nas.reporting.explorer import Explorer
from nas.reporting.importance import FEWEST, Importance

# Our own script: of the five linked parts a plotting library has only the plots, and it would add
# 1 MB (Bokeh, Vega) to 4.5 MB (Plotly) to each page, or need `eval`, which the policy forbids.
SCRIPTS = ("explorer", "canvas", "table", "scatter", "parallel", "candidate", "start")


def document(title: str, parts: Sequence[str], follow: float | None = None) -> str:
    """Return a whole page with a title, followed by the parts.

    follow: seconds between a served page's requests for newer content; None for a page that must
        not use the network, which its content security policy then forbids.
    """
    body = "\n".join(parts)
    attribute = "" if follow is None else f' data-follow="{follow:g}"'
    return (
        f'<!doctype html><html lang="en"{attribute}><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy(follow is not None)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_part('page.css')}</style></head>"
        f"<body><main><h1>{escape(title)}</h1>{body}</main><script>{_script()}</script></body></html>\n"
    )


@cache
def policy(served: bool) -> str:
    """Return the content security policy: our script alone, no network, and no code in data.

    Drawings by matplotlib need styles in the page, and pictures within it.
    """
    digest = base64.b64encode(hashlib.sha256(_script().encode()).digest()).decode()
    network = "'self'" if served else "'none'"
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; "
        f"img-src data:; connect-src {network}; base-uri 'none'; form-action 'none'"
    )


@cache
def _script() -> str:
    return "\n".join(_part(f"{name}.js") for name in SCRIPTS)


@cache
def _part(name: str) -> str:
    return (files("nas.reporting") / "page" / name).read_text(encoding="utf-8")


def table(rows: Sequence[Sequence[object]]) -> str:
    """Return a table; the first row holds the column names."""
    head, *body = rows
    cells = "".join(f'<th scope="col">{escape(str(cell))}</th>' for cell in head)
    lines = "".join(
        "<tr>" + "".join(f"<td>{escape(_shown(cell))}</td>" for cell in row) + "</tr>"
        for row in body
    )
    return f'<div class="wide"><table><tr>{cells}</tr>{lines}</table></div>'


def explorer(rows: Explorer) -> str:
    """Return the data of an explorer and the place in which the page's script builds it."""
    note = f"<p>{escape(rows.note)}</p>" if rows.note else ""
    data = rows.to_json().replace("<", "\\u003c")  # no text of a run can end the element
    return (
        f"<h2>{escape(rows.title)}</h2>{note}"
        f'<script type="application/json" class="explorer">{data}</script><div>'
        "<noscript>The table and the plots need JavaScript; the CSV files beside this page hold "
        "the same values.</noscript></div>"
    )


def bars(found: Sequence[Importance], n: int, target: str) -> str:
    """Return what explains a target, as bars with their intervals; n: of candidates."""
    said = escape(target)
    if n < FEWEST:
        return f"<p>Only {n} candidates have a value of {said}; {FEWEST} are needed.</p>"
    if not found:
        return f"<p>No decision explains {said} alone (n = {n}).</p>"
    lines = "".join(
        f'<tr><th scope="row">{escape(one.name)}</th>'
        f'<td><span class="bar" style="width:{100 * min(1.0, one.share):.1f}%"></span></td>'
        f"<td>{one.share:.2f} ± {one.half_width:.2f}</td></tr>"
        for one in found
    )
    return (
        f"<p>Share of the variance of {said} (its ranks) that each explains alone, with 95 % "
        f"intervals, n = {n}.</p>"
        f'<div class="wide"><table class="bars">{lines}</table></div>'
    )


def figure(svg: str, caption: str) -> str:
    return f'<figure class="paper">{svg}<figcaption>{escape(caption)}</figcaption></figure>'


def folded(summary: str, content: str) -> str:
    """Return content that a click on its summary shows."""
    return f"<details><summary>{escape(summary)}</summary>{content}</details>"


def _shown(cell: object) -> str:
    if cell is None:
        return "–"
    return f"{cell:.5g}" if isinstance(cell, float) else str(cell)
