"""The report of a depth reduction: facts, tables, a figure."""

from dataclasses import asdict
from typing import Any

from matplotlib.figure import Figure

from nas.jobs.adapt.export import failed_exports
from nas.jobs.adapt.harness import harness_scores, harness_table
from nas.jobs.adapt.text.evaluator import TextGrade
from nas.jobs.adapt.text.job import Depth
from nas.jobs.adapt.text.page import depth_explorer
from nas.jobs.adapt.text.results import Chosen, TextSummary
from nas.reporting.report import Drawing, Report, printed
from nas.reporting.table import aligned


def text_facts(summary: TextSummary) -> dict[str, Any]:
    """Return what `nas adapt --text FILE --json` prints."""
    facts: dict[str, Any] = {
        "run": str(summary.folder),
        "model": summary.model,
        "text": summary.text,
        "failed": list(summary.failed),
        "seconds": summary.seconds,
        "chains_graded": summary.graded,
        "harness": [asdict(score) for score in harness_scores(summary.folder)],
        "depths": {
            method: [_facts(depth.chain, depth.test) for depth in depths]
            for method, depths in summary.depths.items()
        },
    }
    if (chosen := summary.chosen) is None:
        return facts
    speed = dict(zip(_timed(chosen), chosen.speeds, strict=True))
    return {
        **facts,
        "full": _facts(chosen.full.chain, chosen.full.test),
        "static": {
            "method": chosen.method,
            **_facts(chosen.depth.chain, chosen.depth.test),
            "path": str(summary.folder / "static"),
        },
        "healed": [
            {"way": h.way, **_facts(h.chain, h.after), "perplexity_before": h.before.perplexity}
            for h in chosen.healed
        ],
        "tokens_per_second": [
            {"chain": list(chain), "read": s.read, "written": s.written}
            for chain, s in speed.items()
        ],
    }


def text_table(summary: TextSummary) -> str:
    """Return perplexities by method and number of layers, then speeds, within 80 columns."""
    lines = [
        f"{summary.folder.name}: {summary.model} on {summary.text}, {summary.seconds:.0f} s",
        "",
        "perplexity on the test part of the text:",
        *aligned(_rows(summary)),
    ]
    if chosen := summary.chosen:
        chain = " ".join(map(str, chosen.depth.chain))
        lines += ["", f"static, {chosen.method}: {chain}", "", *aligned(_speed_rows(chosen))]
    lines += [*harness_table(summary.folder), *failed_exports(summary.folder)]
    return "\n".join([*lines, *(f"failed: {reason}" for reason in summary.failed)])


def text_report(summary: TextSummary) -> Report:
    """Return the report of a depth reduction, finished or not."""
    text, rows = text_table(summary), _all_rows(summary)
    caption = "Perplexity against layer calls, by method, and of healed networks"
    drawings = [Drawing("depths", caption, figure(summary))] if summary.depths else []
    page = [printed(text), depth_explorer(summary), *drawings]
    return Report(summary.folder.name, text, text_facts(summary), page, {"rows.csv": rows})


def figure(summary: TextSummary) -> Figure:
    """Plot perplexity against layer calls."""
    drawn = Figure(figsize=(7, 4.2), layout="constrained")
    axes = drawn.subplots()
    for method, depths in summary.depths.items():
        points = sorted((len(depth.chain), depth.test.perplexity) for depth in depths)
        axes.plot(*zip(*points, strict=True), marker=".", label=method)
    if chosen := summary.chosen:
        axes.axhline(chosen.full.test.perplexity, color="#999999", linestyle=":", label="full")
        for way in dict.fromkeys(h.way for h in chosen.healed):
            points = [(len(h.chain), h.after.perplexity) for h in chosen.healed if h.way == way]
            axes.plot(*zip(*sorted(points), strict=True), "D", label=f"healed, {way}")
    axes.set(xlabel="layer calls", ylabel="perplexity", yscale="log")
    axes.legend(frameon=False, fontsize=8)
    return drawn


def _rows(summary: TextSummary) -> list[list[str]]:
    """Return a row for every length, longest first: perplexities by method, then healed."""
    chosen = summary.chosen
    healed = {(len(h.chain), h.way): h.after for h in chosen.healed} if chosen else {}
    ways = list(dict.fromkeys(way for _, way in healed))
    by_length = {
        method: {len(depth.chain): depth.test for depth in depths}
        for method, depths in summary.depths.items()
    }
    rows = [["layers", *by_length, *(f"healed, {way}" for way in ways)]]
    if chosen:
        full = f"{chosen.full.test.perplexity:.2f}"
        rows.append([str(len(chosen.full.chain)), *[full] * len(by_length), *["–"] * len(ways)])
    lengths = sorted({n for grades in by_length.values() for n in grades}, reverse=True)
    for length in lengths:
        graded = [grades.get(length) for grades in by_length.values()]
        graded += [healed.get((length, way)) for way in ways]
        rows.append([str(length), *("–" if g is None else f"{g.perplexity:.2f}" for g in graded)])
    return rows


def _speed_rows(chosen: Chosen) -> list[list[str]]:
    rows = [["layer calls", "tokens/s read", "written"]]
    for chain, speed in zip(_timed(chosen), chosen.speeds, strict=True):
        rows.append([str(len(chain)), f"{speed.read:.0f}", f"{speed.written:.0f}"])
    return rows


def _timed(chosen: Chosen) -> list[tuple[int, ...]]:
    """Return the chains whose speeds were measured, in their order."""
    healed = (one.chain for one in chosen.healed)
    return list(dict.fromkeys([chosen.full.chain, chosen.depth.chain, *healed]))


def _all_rows(summary: TextSummary) -> list[list[object]]:
    rows: list[list[object]] = [["method", "layers", "perplexity", "divergence", "chain"]]
    for method, depths in summary.depths.items():
        rows += [_cells(method, depth) for depth in depths]
    return rows


def _cells(method: str, depth: Depth) -> list[object]:
    test, chain = depth.test, " ".join(map(str, depth.chain))
    return [method, len(depth.chain), test.perplexity, test.divergence, chain]


def _facts(chain: tuple[int, ...], test: TextGrade) -> dict[str, Any]:
    return {
        "chain": list(chain),
        "layer_calls": len(chain),
        "perplexity": test.perplexity,
        "divergence": test.divergence,
    }
