"""Figures: their colours, and how they are written to files."""

import io
import re
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from nas.core.files import write_atomically

BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#999999"


def save_figure(figure: Figure, path: Path) -> str:
    """Write a figure as SVG and PNG; returns the SVG as text.

    Equal figures give identical files.
    """
    svg = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": path.name, "svg.fonttype": "none"}):
        figure.savefig(svg, format="svg", metadata={"Date": None})
    text = svg.getvalue()
    write_atomically(path.with_suffix(".svg"), text)
    write_atomically(path.with_suffix(".png"), as_png(figure))
    return re.sub(r"^.*?(?=<svg)", "", text, flags=re.DOTALL)


def as_png(figure: Figure) -> bytes:
    """Return the figure as the content of a PNG file."""
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=150, metadata={"Software": None})
    return png.getvalue()
