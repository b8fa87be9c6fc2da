"""Rank correlations of scores with losses and their intervals: rows, table and figure."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import kendalltau, spearmanr

from nas.bench.bootstrap import with_interval
from nas.reporting.table import aligned

FEWEST = 3  # candidates that a rank correlation needs


@dataclass(frozen=True, slots=True)
class Row:
    """The correlation of a score's value with the loss; 95 % intervals, None if nothing varies.

    tau, rho: Kendall's tau-b and Spearman's rho, negative if high values go with low losses.
    tau_good_half: tau-b among the candidates with the lower losses.
    seconds_per_candidate: processor time of the whole score, without building the model.
        None for a score that was not computed here.
    """

    name: str
    tau: float | None
    tau_low: float | None
    tau_high: float | None
    rho: float | None
    rho_low: float | None
    rho_high: float | None
    tau_good_half: float | None
    seconds_per_candidate: float | None
    candidates: int
    failed: int


def rank_row(
    name: str,
    values: np.ndarray,
    losses: np.ndarray,
    seconds: float | None,
    failed: int,
    rng: np.random.Generator,
) -> Row:
    """Return the row of a score's values, one per candidate; intervals resample candidates."""
    good = losses <= np.median(losses) if len(losses) else np.zeros(0, bool)
    tau, tau_low, tau_high = with_interval(_tau, rng, values, losses)
    rho, rho_low, rho_high = with_interval(spearman, rng, values, losses)
    return Row(
        name=name,
        tau=tau,
        tau_low=tau_low,
        tau_high=tau_high,
        rho=rho,
        rho_low=rho_low,
        rho_high=rho_high,
        tau_good_half=_tau(values[good], losses[good]),
        seconds_per_candidate=seconds,
        candidates=len(values),
        failed=failed,
    )


def _tau(a: np.ndarray, b: np.ndarray) -> float | None:
    return _known(kendalltau(a, b)[0]) if len(a) >= FEWEST else None


def spearman(a: np.ndarray, b: np.ndarray) -> float | None:
    """Return Spearman's rho; None if nothing varies."""
    varies = len(a) >= FEWEST and np.ptp(a) > 0 and np.ptp(b) > 0
    return _known(spearmanr(a, b)[0]) if varies else None


def _known(statistic: Any) -> float | None:
    return None if np.isnan(statistic) else float(statistic)


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a table for people."""
    head = ["score", "tau-b", "95 %", "rho", "95 %", "good half", "ms each", "n", "failed"]
    lines = [
        [
            row.name,
            _text(row.tau),
            f"{_text(row.tau_low)} to {_text(row.tau_high)}",
            _text(row.rho),
            f"{_text(row.rho_low)} to {_text(row.rho_high)}",
            _text(row.tau_good_half),
            "" if row.seconds_per_candidate is None else f"{1e3 * row.seconds_per_candidate:.1f}",
            str(row.candidates),
            str(row.failed),
        ]
        for row in rows
    ]
    return "\n".join(aligned([head, *lines]))


def _text(value: float | None) -> str:
    return "none" if value is None else f"{value:+.3f}"


def figure(rows: Sequence[Row], path: Path) -> None:
    """Plot Kendall's tau-b of every row with its interval."""
    known = [row for row in rows if row.tau is not None]
    drawn = Figure(figsize=(6.4, 0.8 + 0.28 * len(known)), layout="constrained")
    axes = drawn.subplots()
    for place, row in enumerate(known):
        axes.plot([row.tau_low, row.tau_high], [place, place], color="#999999")  # type: ignore[list-item]
        axes.plot(row.tau, place, "o", color="#0072b2")  # type: ignore[arg-type]
    axes.set_yticks(range(len(known)), [row.name for row in known])
    axes.invert_yaxis()
    axes.axvline(0, color="#999999", linewidth=1)
    axes.set_xlabel("Kendall's tau-b with the loss; left: high values, low losses")
    drawn.savefig(path, dpi=150)
