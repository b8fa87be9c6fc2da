"""What figures share: colours, and how they become files."""

import io
import re
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from nas.core.files import write_atomically

BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#999999"


def save_figure(figure: Figure, path: Path) -> str:
    """The figure as SVG text, which is written beside a PNG; equal figures give equal files."""
    svg, png = io.StringIO(), io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": path.name, "svg.fonttype": "none"}):
        figure.savefig(svg, format="svg", metadata={"Date": None})
    figure.savefig(png, format="png", dpi=150, metadata={"Software": None})
    text = svg.getvalue()
    write_atomically(path.with_suffix(".svg"), text)
    write_atomically(path.with_suffix(".png"), png.getvalue())
    return re.sub(r"^.*?(?=<svg)", "", text, flags=re.DOTALL)
