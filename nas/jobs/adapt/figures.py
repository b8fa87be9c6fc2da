"""The figures of an adaptation's report."""

import math
from collections import Counter
from statistics import mean

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nas.jobs.adapt.oracle import shares
from nas.jobs.adapt.summary import AdaptSummary


def figure(summary: AdaptSummary) -> Figure:
    """Plot calls of each layer, lengths of chains, and accuracy against layer calls."""
    drawn = Figure(figsize=(14, 4.2), layout="constrained")
    calls, lengths, frontier = drawn.subplots(1, 3)
    _heat_map(calls, summary)
    _lengths(lengths, summary)
    _frontier(frontier, summary)
    return drawn


def _heat_map(axes: Axes, summary: AdaptSummary) -> None:
    groups = summary.groups
    table = np.zeros((len(groups), summary.depth))
    for line, found in zip(table, groups.values(), strict=True):
        counts = Counter(layer for one in found for layer in one.shortest or ())
        line[:] = [counts[layer] / len(found) for layer in range(summary.depth)]
    image = axes.imshow(table, aspect="auto", cmap="viridis", vmin=0, origin="lower")
    axes.figure.colorbar(image, ax=axes, label="mean calls")  # type: ignore[union-attr]
    axes.set_yticks(range(len(groups)), list(groups))
    axes.set_xticks(range(summary.depth))
    axes.set(xlabel="layer", ylabel="difficulty" if len(groups) > 1 else "")
    axes.set_title("calls in the shortest right chain", fontsize=9)


def _lengths(axes: Axes, summary: AdaptSummary) -> None:
    groups = summary.groups
    found = [[len(one.shortest) for one in g if one.shortest] for g in groups.values()]
    places = [i for i, lengths in enumerate(found) if lengths]
    if places:
        axes.boxplot([found[i] for i in places], positions=places, widths=0.6)
    axes.axhline(summary.depth, color="#999999", linestyle=":")
    axes.set_xticks(range(len(groups)), list(groups))
    axes.set(xlabel="difficulty" if len(groups) > 1 else "", ylabel="layer calls", ylim=(0, None))
    axes.set_title("length of the shortest right chain (··· the full one)", fontsize=9)


def _frontier(axes: Axes, summary: AdaptSummary) -> None:
    shared = summary.shared
    methods = dict.fromkeys(s.method for s in shared.statics)
    for method in methods:
        points = sorted((len(s.chain), s.pass_at_1) for s in shared.statics if s.method == method)
        axes.plot(*zip(*points, strict=True), marker="." if len(points) > 1 else "*", label=method)
    if shared.menu:
        routed = sorted((r.layer_calls, r.pass_at_1) for r in shared.menu.routed)
        axes.plot(*zip(*routed, strict=True), marker="s", markersize=4, label="router")
    for key, one in shared.judgements.items():
        if one.calls is not None and (key.endswith("exit") or key.startswith("healed")):
            axes.plot(one.calls, mean(one.right), "D", label=one.name.strip())
    values = shares(summary.found)
    if not math.isnan(values["wrong_put_right"]):
        axes.plot(values["mean_chain_length"], _oracle(summary), "^", label="oracle, unattainable")
    axes.set(xlabel="layer calls", ylabel="right (pass@1)", ylim=(0, 1.03))
    axes.set_title("held-out items", fontsize=9)
    axes.legend(frameon=False, fontsize=7)


def _oracle(summary: AdaptSummary) -> float:
    return sum(one.shortest is not None for one in summary.found) / len(summary.found)
