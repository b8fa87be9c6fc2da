"""The report of a sweep: a table, a figure and a file of rows."""

from collections.abc import Sequence
from dataclasses import fields
from statistics import mean, median, stdev

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from nas.jobs.sweep.page import sweep_explorer
from nas.jobs.sweep.rows import (
    Row,
    SweepSummary,
    curves,
    is_faster,
    knees,
    sweep_facts,
    timing_spread,
)
from nas.reporting.html import bars
from nas.reporting.importance import importances
from nas.reporting.report import Drawing, Report, printed
from nas.reporting.table import aligned

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#999999")


def sweep_table(summary: SweepSummary) -> str:
    """Return a line per level of every curve, with means over seeds; then knees and speed."""
    head = ["method", "what", "ap", "level", "sparsity", "dense", "before", "after", "±", "test"]
    in_int8 = any(row.metric_int8 is not None for row in summary.rows)
    int8 = ["ms int8", "after int8"] if in_int8 else []
    cells = [[*head, "epochs", "ms dense", "ms sparse", *int8]]
    for (method, what, ap), levels in curves(summary).items():
        for level, rows in levels.items():
            added = [_mean(rows, "milliseconds_int8", "{:.2f}"), _mean(rows, "metric_int8")]
            measured = [*_measured(rows), *added[: len(int8)]]
            cells.append([method, what, f"{ap:g}", f"{level:g}", *measured])
    failed = [row for row in summary.rows if row.failed]
    lines = [
        f"{summary.folder.name}: {summary.model}, {len(summary.rows)} rows, {len(failed)} failed, "
        f"{summary.seconds:.0f} s",
        *([summary.note] if summary.note else []),
        "",
        *aligned(cells),
        "",
    ]
    lines += [f"failed: {row.method} {row.what} {row.level:g}: {row.failed}" for row in failed]
    lines += [knee["sentence"] for knee in knees(summary)]
    return "\n".join([*lines, _speed_sentence(summary)])


def sweep_report(summary: SweepSummary) -> Report:
    """Return the report of a sweep, finished or not."""
    names = [field.name for field in fields(Row)]
    rows = [names, *([getattr(row, name) for name in names] for row in summary.rows)]
    text = sweep_table(summary)
    found = sweep_explorer(summary)
    y = found.y
    page = [
        printed(text),
        found,
        *(["<h2>What decides</h2>", bars(*importances(found, y), y)] if y != "#" else []),
        Drawing("sweep", _caption(summary), figure(summary)),
    ]
    return Report(summary.folder.name, text, sweep_facts(summary), page, {"rows.csv": rows})


def _caption(summary: SweepSummary) -> str:
    seeds = len({row.seed for row in summary.rows})
    return f"Means over {seeds} seeds; bands show their range" if seeds > 1 else "One seed"


def figure(summary: SweepSummary) -> Figure:
    """Plot metric, recovery epochs and latency against sparsity.

    Bands show the range of several seeds; one seed has none.
    """
    drawn = Figure(figsize=(13, 4), layout="constrained")
    quality, recovery, speed = drawn.subplots(1, 3)
    for i, (curve, levels) in enumerate(curves(summary).items()):
        colour, label = COLOURS[i % len(COLOURS)], "{} {} ap {:g}".format(*curve)
        _band(quality, levels, "metric_after", colour, "-", label)
        _band(quality, levels, "metric_before", colour, ":", None)
        _band(recovery, levels, "recovery_epochs", colour, "-", label)
        _band(speed, levels, "milliseconds_sparse", colour, "-", label)
        _band(speed, levels, "milliseconds_dense", colour, ":", None)
    quality.set_title("after recovery (–) and right after pruning (···)", fontsize=9)
    speed.set_title("pruned (–) and dense (···)", fontsize=9)
    names = (summary.metric, "epochs to recover", "milliseconds per example")
    for axes, name in zip((quality, recovery, speed), names, strict=True):
        axes.set_xlabel("sparsity", fontsize=9)
        axes.set_ylabel(name, fontsize=9)
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    speed.set_ylim(bottom=0)
    recovery.yaxis.set_major_locator(MaxNLocator(integer=True))
    quality.legend(frameon=False, fontsize=7)
    return drawn


def _band(
    axes: Axes,
    levels: dict[float, list[Row]],
    name: str,
    colour: str,
    line: str,
    label: str | None,
) -> None:
    points = {
        level: values
        for level, rows in levels.items()
        if (values := [v for row in rows if (v := getattr(row, name)) is not None])
    }
    if not points:
        return
    x = list(points)
    axes.plot(x, [mean(v) for v in points.values()], line, color=colour, label=label, marker=".")
    if any(len(v) > 1 for v in points.values()):
        low, high = ([pick(v) for v in points.values()] for pick in (min, max))
        axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)


def _measured(rows: Sequence[Row]) -> list[str]:
    """Return the measurements of a level's rows as table cells."""
    after = [row.metric_after or 0.0 for row in rows]
    metrics = [_mean(rows, name) for name in ("sparsity", "metric_dense", "metric_before")]
    deviation = f"{stdev(after):.4f}" if len(after) > 1 else "–"
    times = [_times(rows, f"milliseconds_{kind}") for kind in ("dense", "sparse")]
    return [
        *metrics,
        f"{mean(after):.4f}",
        deviation,
        _mean(rows, "test_after"),
        _epochs(rows),
        *times,
    ]


def _times(rows: Sequence[Row], name: str) -> str:
    """Return the median of a row's timings, with the half range if there are several."""
    values = [value for row in rows if (value := getattr(row, name)) is not None]
    if not values:
        return "–"
    spread = f"±{(max(values) - min(values)) / 2:.2f}" if len(values) > 1 else ""
    return f"{median(values):.2f}{spread}"


def _mean(rows: Sequence[Row], name: str, form: str = "{:.4f}") -> str:
    values = [value for row in rows if (value := getattr(row, name)) is not None]
    return form.format(mean(values)) if values else "–"


def _epochs(rows: Sequence[Row]) -> str:
    """Return each seed's epochs to recover, – for never."""
    return "/".join(
        "–" if row.recovery_epochs is None else str(row.recovery_epochs) for row in rows
    )


def _speed_sentence(summary: SweepSummary) -> str:
    match is_faster(summary):
        case None:
            return (
                f"speed: undecided: timings of the same dense network differ by "
                f"{timing_spread(summary):.0%}; run on a quiet machine"
            )
        case True:
            return "speed: the pruned networks are faster"
    return "speed: no gain measured; these are masks"
