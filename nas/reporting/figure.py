"""Figures: their colours, and how they are written to files."""

import io
import re
from collections.abc import Iterable
from itertools import count
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nas.core.files import write_atomically

BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#999999"
LABEL = 7, 26, 8  # size of the letters, width and height of a label, in points


def number_points(axes: Axes, points: Iterable[tuple[int, float, float]]) -> None:
    """Write `#number` to the right of each point (number, x, y), above or below other labels.

    Call it last: the places depend on the scales and on the size of the axes.
    """
    size, width, height = LABEL
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()  # sets the size of the axes
    in_points, taken = 72 / figure.dpi, []
    lowest = axes.bbox.y0 * in_points
    for number, x, y in points:
        across, up = axes.transData.transform((x, y)) * in_points
        near = [b - up for a, b in taken if abs(a - across) < width]
        shifts = (sign * i * height for i in count() for sign in (-1, 1))
        shift = next(
            s for s in shifts if up + s >= lowest and all(abs(s - b) >= height for b in near)
        )
        taken.append((across, up + shift))
        place = {"xytext": (5, shift), "textcoords": "offset points", "va": "center"}
        axes.annotate(f"#{number}", (x, y), fontsize=size, **place)


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
