"""The figures of a report: scores against losses, and the progress of the search."""

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nas.jobs.search.summary import SearchSummary
from nas.loop.candidate import Candidate
from nas.loop.objectives import named_objectives
from nas.reporting.figure import BLUE, GREY, ORANGE, number_points

NUMBERED = 12  # candidates in a figure; more would hide each other
UNITS = {"latency": "latency, seconds", "step_latency": "step latency, seconds"}
FEWEST = 10  # pairs of which a rank correlation says something
MANY = 2000  # points that are drawn one by one; more become a picture


def score_against_loss(summary: SearchSummary) -> Figure:
    """Plot each score, and the parameter count, against validation loss.

    Trained candidates are compared after the first rung, which all of them finished. Ticks at the
    bottom are candidates that were only screened.
    """
    names = [*summary.score_names[:3], "parameters"]
    figure = Figure(figsize=(3.6 * len(names), 3.4), layout="constrained")
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        _scatter(axes, name, summary.candidates)
    return figure


def course(summary: SearchSummary) -> Figure:
    """Plot the guiding score of each candidate, and the best so far among those that did not fail.

    A failed candidate can have any score: it is marked, at the edge if it lies outside.
    """
    figure = Figure(figsize=(6.4, 3.2), layout="constrained")
    axes = figure.add_subplot()
    name = next(iter(summary.score_names), "")
    better = max if next(iter(summary.scores.values()), True) else min
    scored = [c for c in summary.candidates if name in c.scores]
    points, failed = (
        [(c.number, c.scores[name]) for c in scored if bool(c.failed) is wanted]
        for wanted in (False, True)
    )
    if points:
        best = list(accumulate((value for _, value in points), better))
        many = len(points) > MANY
        axes.scatter(
            *zip(*points, strict=True), s=12, color=GREY, label="candidate", rasterized=many
        )
        kept = [i for i in range(len(best)) if i in (0, len(best) - 1) or best[i] != best[i - 1]]
        steps = [points[i][0] for i in kept], [best[i] for i in kept]
        axes.step(*steps, where="post", color=BLUE, label="best so far")
        _scale(axes.set_yscale, [value for _, value in points])
        low, high = axes.get_ylim()
        shown = [(n, min(max(value, low), high)) for n, value in failed]
        if shown:
            places = dict(marker="x", s=16, color=ORANGE, label="failed in training", clip_on=False)
            axes.scatter(*zip(*shown, strict=True), **places)
        axes.legend(frameon=False, loc="lower right" if many else "best")
    _labels(axes, "candidate", name or "no score")
    return figure


def front(summary: SearchSummary) -> Figure:
    """Plot the loss against each other objective, with the Pareto front among all trained."""
    loss, *others = sorted(summary.objectives, key=lambda name: name != "loss")
    figure = Figure(figsize=(3.6 * len(others), 3.4), layout="constrained")
    trained = [c for c in summary.candidates if c.rungs and not c.failed]
    kinds = ((trained, GREY, "trained", 2), (summary.front, ORANGE, "Pareto front", 3))
    for axes, name in zip(figure.subplots(1, len(others), squeeze=False)[0], others, strict=True):
        for candidates, colour, label, order in kinds:
            values = [named_objectives(c, (name, loss)).values() for c in candidates]
            axes.scatter(*zip(*values, strict=True), s=20, color=colour, label=label, zorder=order)
        axes.legend(frameon=False, fontsize=8)
        axes.locator_params(axis="x", nbins=4)
        _labels(axes, UNITS.get(name, name), "validation loss")
        numbered = [(c.number, named_objectives(c, (name, loss))) for c in summary.front[:NUMBERED]]
        number_points(axes, ((n, found[name], found[loss]) for n, found in numbered))
    return figure


def training(summary: SearchSummary) -> Figure:
    """Plot the trained candidates' validation loss at the end of each rung."""
    figure = Figure(figsize=(6.4, 3.2), layout="constrained")
    axes = figure.add_subplot()
    trained = summary.best[:MANY]
    for rank, candidate in enumerate(trained):
        axes.plot(
            [rung.step for rung in candidate.rungs],
            [rung.loss for rung in candidate.rungs],
            marker="o",
            markersize=4,
            color=BLUE if rank == 0 else GREY,
            zorder=3 if rank == 0 else 2,
        )
    _scale(axes.set_yscale, [rung.loss for candidate in trained for rung in candidate.rungs])
    _labels(axes, "training step", "validation loss")
    number_points(
        axes, ((c.number, c.rungs[-1].step, c.rungs[-1].loss) for c in trained[:NUMBERED])
    )
    return figure


def kendall_tau(x: Sequence[float], y: Sequence[float]) -> float:
    """Return Kendall's τ-b; few points do without the second that importing `scipy.stats` takes.

    >>> round(kendall_tau([1, 2, 3, 4], [1, 2, 4, 3]), 3)
    0.667
    """
    if len(x) > MANY:
        from scipy.stats import kendalltau

        return float(kendalltau(x, y)[0])  # type: ignore[arg-type]
    agreeing = x_differs = y_differs = 0.0
    for i in range(1, len(x)):  # every pair once, one row of pairs in memory
        of_x = np.sign(np.subtract(x[i], x[:i]))
        of_y = np.sign(np.subtract(y[i], y[:i]))
        agreeing += float(of_x @ of_y)
        x_differs += float(of_x @ of_x)
        y_differs += float(of_y @ of_y)
    pairs = math.sqrt(x_differs * y_differs)
    return agreeing / pairs if pairs else math.nan


def tau_interval(tau: float, n: int) -> tuple[float, float]:
    """Return the 95 % interval of Kendall's τ of n > 4 pairs.

    Fisher's z has the variance 0.437 / (n - 4): Fieller, Hartley & Pearson 1957, section 5,
    https://doi.org/10.1093/biomet/44.3-4.470

    >>> [round(end, 2) for end in tau_interval(0.5, 40)]
    [0.32, 0.64]
    """
    half = 1.96 * math.sqrt(0.437 / (n - 4))
    z = math.atanh(max(-0.999999, min(0.999999, tau)))
    return math.tanh(z - half), math.tanh(z + half)


def _scatter(axes: Axes, name: str, candidates: Sequence[Candidate]) -> None:
    known = [(c, value) for c in candidates if (value := _value(c, name)) is not None]
    trained = [c for c, _ in known if c.rungs]
    x = [value for c, value in known if c.rungs]
    y = [c.rungs[0].loss for c in trained]
    others = [value for c, value in known if not c.rungs]
    axes.scatter(x, y, s=28, color=ORANGE, zorder=3, rasterized=len(x) > MANY)
    if others:
        bottom = axes.get_xaxis_transform()
        style: dict[str, Any] = dict(color=GREY, markersize=9, clip_on=False, transform=bottom)
        style["rasterized"] = len(others) > MANY
        axes.plot(others, [0.02] * len(others), "|", **style)
    _scale(axes.set_xscale, [*x, *others])
    _scale(axes.set_yscale, y)
    if len(x) >= FEWEST and len(set(x)) > 2:
        tau = kendall_tau(x, y)
        low, high = tau_interval(tau, len(x))
        title = f"Kendall τ {tau:+.2f}, 95 % {low:+.2f} to {high:+.2f} (n = {len(x)})"
        axes.set_title(title, fontsize=8)
    _labels(axes, name, "validation loss, first rung")
    if len(trained) <= NUMBERED:
        number_points(axes, zip((c.number for c in trained), x, y, strict=True))


def _value(candidate: Candidate, name: str) -> float | None:
    return candidate.parameters if name == "parameters" else candidate.scores.get(name)


def _scale(set_scale, values: Sequence[float]) -> None:
    """Use a scale that is logarithmic on both sides of zero if magnitudes differ widely."""
    sizes = [abs(v) for v in values if v]
    if sizes and max(sizes) > 100 * min(sizes):
        set_scale("symlog", linthresh=min(sizes))


def _labels(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(x, fontsize=9)
    axes.set_ylabel(y, fontsize=9)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
