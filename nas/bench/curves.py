"""Formats regret curves of controllers as numbers, text and a figure."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nas.reporting.table import aligned

Curves = Mapping[str, NDArray[np.float64]]  # controller → [seeds, trained models]
COLOURS = ("#999999", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")


def checkpoints(trained: int) -> list[int]:
    """Return where to report a curve: after 10, 50, 100 and 200 trained models, and at the end."""
    return sorted({n for n in (10, 50, 100, 200) if n < trained} | {trained})


def mean_and_error(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return mean and standard error over seeds; the error is 0 for a single seed."""
    error = values.std(ddof=1) / len(values) ** 0.5 if len(values) > 1 else 0.0
    return float(values.mean()), float(error)


def models_to_equal_random(curves: Curves) -> dict[str, int | None]:
    """Return how many models each controller trains to reach the final mean regret of random.

    None for a controller that does not reach it.
    """
    if "random" not in curves:
        return {}
    aim = curves["random"].mean(axis=0)[-1]
    found = {}
    for name, curve in curves.items():
        reached = np.flatnonzero(curve.mean(axis=0) <= aim + 1e-12)
        found[name] = int(reached[0]) + 1 if len(reached) else None
    return found


def as_json(curves: Curves) -> dict[str, Any]:
    trained = next(iter(curves.values())).shape[1]
    return {
        "curves": {
            name: {str(n): mean_and_error(curve[:, n - 1]) for n in checkpoints(trained)}
            for name, curve in curves.items()
        },
        f"models_to_equal_random_at_{trained}": models_to_equal_random(curves),
    }


def table(curves: Curves) -> str:
    """Return a table with a row per controller: regret ± standard error."""
    trained = next(iter(curves.values())).shape[1]
    equal = models_to_equal_random(curves)
    head = ["trained models", *map(str, checkpoints(trained)), f"= random at {trained}"]
    rows = [head]
    for name, curve in curves.items():
        values = [mean_and_error(curve[:, n - 1]) for n in checkpoints(trained)]
        cells = [f"{mean:.3f} ± {error:.3f}" for mean, error in values]
        rows.append([name, *cells, str(equal.get(name) or "–")])
    return "\n".join(aligned(rows))


def figure(curves: Curves, title: str, path: Path) -> None:
    """Plot mean regret over trained models, both logarithmic, with standard errors as bands."""
    drawn = Figure(figsize=(6, 4), layout="constrained")
    axes = drawn.subplots()
    for i, (name, curve) in enumerate(curves.items()):
        x = np.arange(1, curve.shape[1] + 1)
        means, errors = np.array([mean_and_error(column) for column in curve.T]).T
        colour = COLOURS[i % len(COLOURS)]
        axes.plot(x, means, label=name, color=colour, linestyle="-" if i < len(COLOURS) else "--")
        axes.fill_between(x, means - errors, means + errors, color=colour, alpha=0.2, linewidth=0)
    axes.set_xscale("log")
    axes.set_yscale("log", nonpositive="clip")
    axes.set_xlabel("trained models")
    seeds = len(next(iter(curves.values())))
    axes.set_ylabel(f"regret, mean of {seeds} seeds ± s.e.")
    axes.set_title(title)
    axes.legend(fontsize=8)
    drawn.savefig(path, dpi=150)
