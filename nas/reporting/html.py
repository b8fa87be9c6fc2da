"""Pieces of a self-contained HTML page."""

from collections.abc import Sequence
from html import escape

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


def document(title: str, parts: Sequence[str]) -> str:
    """Return a whole page with a title, followed by the parts."""
    body = "\n".join(parts)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>"
        f"<body><h1>{escape(title)}</h1>{body}</body></html>\n"
    )


def table(rows: Sequence[Sequence[object]]) -> str:
    """Return a table; the first row holds the column names."""
    head, *body = rows
    cells = "".join(f"<th>{escape(str(cell))}</th>" for cell in head)
    lines = "".join(
        "<tr>" + "".join(f"<td>{escape(_shown(cell))}</td>" for cell in row) + "</tr>"
        for row in body
    )
    return f'<div class="wide"><table><tr>{cells}</tr>{lines}</table></div>'


def figure(svg: str, caption: str) -> str:
    return f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>"


def folded(summary: str, content: str) -> str:
    """Return content that a click on its summary shows."""
    return f"<details><summary>{escape(summary)}</summary>{content}</details>"


def _shown(cell: object) -> str:
    if cell is None:
        return "–"
    return f"{cell:.5g}" if isinstance(cell, float) else str(cell)
