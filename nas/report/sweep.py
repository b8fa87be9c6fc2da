"""What came of a sweep: rows, the knee, the table, the figure."""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nas.files import write_atomically
from nas.jobs.sweep import Pruning, cost
from nas.record import Candidate
from nas.report.table import aligned
from nas.report.write import written

GAIN = 1.1  # faster by less is within what two measurements differ by
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#999999")


@dataclass(frozen=True, slots=True)
class Row:
    """One pruned network.

    level: share of weights asked for; sparsity: share of zeros counted among what was pruned.
    metric_dense, metric_before, metric_after: before pruning, right after, and after recovery, of
        the validation data; test_dense, test_after: of the test data.
    recovery_epochs: until the metric was back within the tolerance; None if it never was.
    milliseconds_dense, milliseconds_sparse: of one example, in one run.
    """

    number: int
    method: str
    what: str
    ap: float
    level: float
    seed: int
    sparsity: float | None
    metric_dense: float | None
    metric_before: float | None
    metric_after: float | None
    test_dense: float | None
    test_after: float | None
    recovery_epochs: int | None
    milliseconds_dense: float | None
    milliseconds_sparse: float | None
    dead: float | None
    dead_static: float | None
    dead_dynamic: float | None
    failed: str | None

    @property
    def curve(self) -> tuple[str, str, float]:
        """What its levels are compared over."""
        return self.method, self.what, self.ap


@dataclass(frozen=True, slots=True)
class SweepSummary:
    """A whole sweep; tolerance is what a network may lose and count as recovered."""

    name: str
    model: str
    metric: str
    higher_is_better: bool
    tolerance: float
    rows: tuple[Row, ...]
    seconds: float


def row_of(candidate: Candidate, tolerance: float, higher_is_better: bool) -> Row:
    """The row that a candidate of a sweep is."""
    measured: dict[str, Any] = dict(candidate.measures)
    epochs = measured.pop("recovery_epochs", None)
    before = measured.get("metric_before")
    if before is not None and cost(measured["metric_dense"], before, higher_is_better) <= tolerance:
        epochs = 0
    found: dict[str, Any] = {field.name: measured.get(field.name) for field in fields(Row)}
    found |= {
        **Pruning(*candidate.architecture.spec)._asdict(),  # type: ignore[misc]
        "number": candidate.number,
        "recovery_epochs": None if epochs is None else int(epochs),
        "failed": candidate.failed,
    }
    return Row(**found)


def curves(summary: SweepSummary) -> dict[tuple[str, str, float], dict[float, list[Row]]]:
    """The measured rows by method, what and ap, then by level in rising order."""
    found: dict[tuple[str, str, float], dict[float, list[Row]]] = {}
    for row in sorted(summary.rows, key=lambda row: row.level):
        if row.failed is None and row.metric_after is not None:
            found.setdefault(row.curve, {}).setdefault(row.level, []).append(row)
    return found


def knees(summary: SweepSummary) -> list[dict[str, Any]]:
    """For every curve the highest level that recovers, and what it costs.

    A level recovers when the mean over the seeds loses no more than the tolerance.
    """
    found = []
    for (method, what, ap), levels in curves(summary).items():
        costs = {
            level: _mean_cost(rows, summary.higher_is_better) for level, rows in levels.items()
        }
        level = max((at for at, lost in costs.items() if lost <= summary.tolerance), default=None)
        knee = {"method": method, "what": what, "ap": ap, "level": level}
        if level is not None:
            knee["cost"] = costs[level]
        found.append({**knee, "sentence": _sentence(knee, summary)})
    return found


def sweep_facts(summary: SweepSummary, folder: Path) -> dict[str, Any]:
    """What `nas sweep --json` prints."""
    return {
        "run": str(folder),
        "model": summary.model,
        "metric": summary.metric,
        "rows": [asdict(row) for row in summary.rows],
        "knee": knees(summary),
        "faster": _is_faster(summary),
        "seconds": summary.seconds,
    }


def sweep_table(summary: SweepSummary) -> str:
    """A line a level of every curve, means over the seeds; then the knees and the speed."""
    head = ["method", "what", "ap", "level", "sparsity", "dense", "before", "after", "±", "test"]
    table = [[*head, "epochs", "ms dense", "ms sparse"]]
    for (method, what, ap), levels in curves(summary).items():
        for level, rows in levels.items():
            after = [row.metric_after or 0.0 for row in rows]
            table.append(
                [
                    *(method, what, f"{ap:g}", f"{level:g}"),
                    *(_mean(rows, name, "{:.4f}") for name in ("sparsity", "metric_dense")),
                    _mean(rows, "metric_before", "{:.4f}"),
                    f"{mean(after):.4f}",
                    f"{stdev(after):.4f}" if len(after) > 1 else "–",
                    _mean(rows, "test_after", "{:.4f}"),
                    _epochs(rows),
                    *(
                        _mean(rows, f"milliseconds_{kind}", "{:.2f}")
                        for kind in ("dense", "sparse")
                    ),
                ]
            )
    failed = [row for row in summary.rows if row.failed]
    lines = [
        f"{summary.name}: {summary.model}, {len(summary.rows)} rows, {len(failed)} failed, "
        f"{summary.seconds:.0f} s",
        "",
        *aligned(table),
        "",
    ]
    lines += [f"failed: {row.method} {row.what} {row.level:g}: {row.failed}" for row in failed]
    lines += [knee["sentence"] for knee in knees(summary)]
    return "\n".join([*lines, _speed_sentence(summary)])


def write_sweep_report(summary: SweepSummary, folder: Path) -> None:
    """`rows.csv`, and `sweep.svg` and `sweep.png`."""
    text = io.StringIO()
    table = csv.DictWriter(text, [field.name for field in fields(Row)], lineterminator="\n")
    table.writeheader()
    table.writerows(asdict(row) for row in summary.rows)
    write_atomically(folder / "rows.csv", text.getvalue())
    written(figure(summary), folder / "sweep")


def figure(summary: SweepSummary) -> Figure:
    """Metric, recovery epochs and latency against sparsity; bands are the seeds' extremes."""
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
    names = (summary.metric, "epochs to recover", "milliseconds an example")
    for axes, name in zip((quality, recovery, speed), names, strict=True):
        axes.set_xlabel("sparsity", fontsize=9)
        axes.set_ylabel(name, fontsize=9)
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    speed.set_ylim(bottom=0)
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
    low, high = ([pick(v) for v in points.values()] for pick in (min, max))
    axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)


def _mean_cost(rows: Sequence[Row], higher_is_better: bool) -> float:
    return mean(cost(r.metric_dense or 0.0, r.metric_after or 0.0, higher_is_better) for r in rows)


def _mean(rows: Sequence[Row], name: str, form: str) -> str:
    values = [value for row in rows if (value := getattr(row, name)) is not None]
    return form.format(mean(values)) if values else "–"


def _epochs(rows: Sequence[Row]) -> str:
    """Epochs to recover of each seed, – for never."""
    return "/".join(
        "–" if row.recovery_epochs is None else str(row.recovery_epochs) for row in rows
    )


def _sentence(knee: dict[str, Any], summary: SweepSummary) -> str:
    curve = f"{knee['method']}, {knee['what']}" + (f", ap {knee['ap']:g}" if knee["ap"] else "")
    if knee["level"] is None:
        return f"knee: {curve}: no level recovers"
    unit = "points" if summary.higher_is_better else "%"
    return f"knee: {curve}: {knee['level']:.0%} costs {100 * knee['cost']:.1f} {unit}"


def _is_faster(summary: SweepSummary) -> bool:
    """Whether the pruned networks are faster than the dense ones, at the median."""
    ratios = sorted(
        row.milliseconds_dense / row.milliseconds_sparse
        for row in summary.rows
        if row.milliseconds_dense and row.milliseconds_sparse
    )
    return bool(ratios) and ratios[len(ratios) // 2] >= GAIN


def _speed_sentence(summary: SweepSummary) -> str:
    if _is_faster(summary):
        return "speed: the pruned networks are faster"
    return "speed: no gain measured; these are masks"
