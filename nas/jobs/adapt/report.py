"""The report of an adaptation: facts, tables, figures."""

import math
from collections import Counter
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nas.jobs.adapt.export import failed_exports
from nas.jobs.adapt.oracle import shares
from nas.jobs.adapt.shared_chains import Static
from nas.jobs.adapt.summary import AdaptSummary
from nas.reporting.html import folded, table
from nas.reporting.report import Drawing, Report, printed
from nas.reporting.table import aligned


def adapt_facts(summary: AdaptSummary) -> dict[str, Any]:
    """Return what `nas adapt --json` prints; a share of zero samples is null."""
    facts: dict[str, Any] = {
        "run": str(summary.folder),
        "model": summary.model,
        "failed": list(summary.failed),
        "failed_exports": failed_exports(summary.folder),
        **_without_nan(shares(summary.found)),
        "layer_calls": summary.layer_calls,
        "layer_calls_naive": summary.layer_calls_naive,
        "seconds": summary.seconds,
        "by_difficulty": {k: _without_nan(shares(v)) for k, v in summary.groups.items()},
    }
    if summary.by != "gold":
        facts["pass_at_1"] = _chosen_right(summary)
    if summary.shared.statics:
        static = summary.shared.statics[summary.shared.best_static]
        facts["static"] = {
            **_static_facts(static),
            "full_pass_at_1": summary.shared.statics[0].pass_at_1,
            "path": str(summary.folder / "static"),
            "curves": [_static_facts(s) for s in summary.shared.statics],
        }
    if summary.shared.generated:
        facts["static"] |= {
            "generated_pass_at_1": summary.shared.generated.static,
            "full_generated_pass_at_1": summary.shared.generated.full,
        }
    if summary.shared.healed:
        healed = summary.shared.healed
        facts["healed"] = {
            "chain": list(healed.chain),
            "pass_at_1_before": healed.before,
            "pass_at_1": healed.pass_at_1,
            "layer_calls": len(healed.chain),
            "path": str(summary.folder / "healed"),
        }
    if summary.shared.menu:
        menu = summary.shared.menu
        facts["router"] = {
            **menu.routed[menu.best]._asdict(),
            "menu": [list(chain) for chain in menu.chains],
            "by_price": [routed._asdict() for routed in menu.routed],
        }
    return facts


def adapt_table(summary: AdaptSummary) -> str:
    """Return a line per difficulty, then the results for all inputs, within 80 columns."""
    values = shares(summary.found)
    fewer = summary.layer_calls_naive / max(1, summary.layer_calls)
    lines = [
        f"{summary.folder.name}: {summary.model}, {len(summary.found)} samples, "
        f"{summary.simulations} simulations each, {len(summary.failed)} failed, "
        f"{summary.seconds:.0f} s",
        "",
        "with the right answers known (an oracle):",
        *_shares_table(summary),
        "",
        f"layer calls: {summary.layer_calls}, {fewer:.1f} times fewer than chain by chain",
    ]
    if values["wrong_put_right"] <= values["control_pass_at_n"]:
        lines.append(
            "no better than chance: as many random perturbations fix as many wrong answers"
        )
    if summary.by != "gold":
        lines.append(f"chosen by {summary.by}: {_chosen_right(summary):.3f} right (pass@1)")
    used = _used(summary)
    if used:
        head = ["on held-out items", "right (pass@1)", "layer calls"]
        rows = [[name, f"{right:.3f}", f"{calls:.2f}"] for name, right, calls in used]
        lines += ["", *_left_aligned([head, *rows])]
    lines += failed_exports(summary.folder)
    return "\n".join([*lines, *(f"failed: {reason}" for reason in summary.failed)])


def adapt_report(summary: AdaptSummary) -> Report:
    """Return the report of an adaptation, finished or not."""
    text, rows = adapt_table(summary), _sample_rows(summary)
    caption = "Calls of each layer, lengths of chains, and accuracy against layer calls"
    drawings = [Drawing("adapt", caption, figure(summary))] if summary.found else []
    page = [printed(text), *drawings, folded(f"{len(rows) - 1} rows", table(rows))]
    return Report(summary.folder.name, text, adapt_facts(summary), page, {"rows.csv": rows})


def _sample_rows(summary: AdaptSummary) -> list[list[object]]:
    rows = [
        [
            one.difficulty,
            one.tried[one.full].correct,
            None if one.shortest is None else " ".join(map(str, one.shortest)),
            len(one.tried),
        ]
        for one in summary.found
    ]
    return [["difficulty", "full chain right", "shortest right chain", "chains tried"], *rows]


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
    if shared.healed:
        axes.plot(len(shared.healed.chain), shared.healed.pass_at_1, "D", label="healed")
    values = shares(summary.found)
    if not math.isnan(values["wrong_put_right"]):
        axes.plot(values["mean_chain_length"], _oracle(summary), "^", label="oracle, unattainable")
    axes.set(xlabel="layer calls", ylabel="right (pass@1)", ylim=(0, 1.03))
    axes.set_title("held-out items", fontsize=9)
    axes.legend(frameon=False, fontsize=7)


def _oracle(summary: AdaptSummary) -> float:
    return sum(one.shortest is not None for one in summary.found) / len(summary.found)


def _shares_table(summary: AdaptSummary) -> list[str]:
    head = [
        "difficulty",
        "n",
        "right",
        "shorter chain",
        "calls saved",
        "put right",
        "by chance",
        "calls",
    ]
    rows = [[name or "all", *_cells(found)] for name, found in summary.groups.items()]
    if len(rows) > 1:
        rows.append(["all", *_cells(summary.found)])
    return aligned([head, *rows])


def _cells(found: Any) -> list[str]:
    values = shares(found)
    names = ("full_accuracy", "right_with_shorter_chain", "calls_saved", "wrong_put_right")
    percents = [_percent(values[name]) for name in (*names, "control_pass_at_n")]
    return [str(len(found)), *percents, f"{values['mean_chain_length']:.1f}"]


def _percent(share: float) -> str:
    return "–" if math.isnan(share) else f"{share:.0%}"


def _used(summary: AdaptSummary) -> list[tuple[str, float, float]]:
    """Return what serves all inputs: name, share of correct answers, layer calls."""
    rows: list[tuple[str, float, float]] = []
    shared, depth = summary.shared, summary.depth
    if shared.statics:
        best = shared.statics[shared.best_static]
        rows.append(("the full chain", shared.statics[0].pass_at_1, depth))
        name = f"static, {best.method}: {' '.join(map(str, best.chain))}"
        rows.append((name, best.pass_at_1, len(best.chain)))
    if shared.generated:
        rows.append(("in free text, the full chain", shared.generated.full, depth))
        calls = len(shared.statics[shared.best_static].chain)
        rows.append(("in free text, static", shared.generated.static, calls))
    if shared.menu:
        routed = shared.menu.routed[shared.menu.best]
        name = f"router among {len(shared.menu.chains)} chains"
        rows.append((name, routed.pass_at_1, routed.layer_calls))
    if healed := shared.healed:
        chain, calls = " ".join(map(str, healed.chain)), len(healed.chain)
        rows.append((f"half the layers: {chain}", healed.before, calls))
        rows.append(("  healed", healed.pass_at_1, calls))
    return rows


def _left_aligned(table: list[list[str]]) -> list[str]:
    """Return `aligned` rows with the first column aligned to the left."""
    width = max(len(row[0]) for row in table)
    return aligned([[row[0].ljust(width), *row[1:]] for row in table])


def _chosen_right(summary: AdaptSummary) -> float:
    return sum(one.tried[one.chosen].correct for one in summary.found) / len(summary.found)


def _static_facts(static: Static) -> dict[str, Any]:
    return {
        "method": static.method,
        "chain": list(static.chain),
        "pass_at_1": static.pass_at_1,
        "layer_calls": len(static.chain),
    }


def _without_nan(values: dict[str, float]) -> dict[str, float | None]:
    return {name: None if math.isnan(value) else value for name, value in values.items()}
