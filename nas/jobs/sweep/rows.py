"""The results of a sweep: its rows, and the knee of each curve."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import mean, median
from typing import Any, NamedTuple

from nas.core.errors import NasError
from nas.loop.candidate import Candidate, candidates_in
from nas.loop.run_file import read_run_file

GAIN = 1.1  # a smaller gain is within measurement noise
SPREAD = 0.1  # a larger disagreement of timings of one network says nothing about another


class Pruning(NamedTuple):
    """One row of a sweep: how, which weights, the share by activation, the level, the seed."""

    method: str
    what: str
    ap: float
    level: float
    seed: int


def cost(before: float, after: float, higher_is_better: bool) -> float:
    """What a metric lost: of an accuracy the difference, of a perplexity its share.

    >>> cost(0.75, 0.5, True), cost(8.0, 10.0, False)
    (0.25, 0.25)
    """
    return before - after if higher_is_better else after / before - 1


@dataclass(frozen=True, slots=True)
class Row:
    """One pruned network.

    level: share of weights asked for; sparsity: share of zeros counted among what was pruned.
    metric_dense, metric_before, metric_after: before pruning, right after, and after recovery, of
        the validation data; test_dense, test_after: of the test data.
    recovery_epochs: until the metric was back within the tolerance; None if it never was.
    milliseconds_dense, milliseconds_sparse: of one example, in one run; the second is None if the
        pruned network has no layer that can run on compiled cells, and so cannot be faster.
    metric_int8, milliseconds_int8: after recovery, in int8, if the sweep asks.
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
    metric_int8: float | None
    milliseconds_int8: float | None
    dead: float | None
    dead_static: float | None
    dead_dynamic: float | None
    failed: str | None

    @property
    def curve(self) -> tuple[str, str, float]:
        """The curve that the row's level belongs to."""
        return self.method, self.what, self.ap


@dataclass(frozen=True, slots=True)
class SweepSummary:
    """The results of a sweep.

    folder: the run's folder. metric, higher_is_better: the task's metric and its direction.
    tolerance: the largest loss that counts as recovered.
    seconds: the time of all drivers together.
    """

    folder: Path
    model: str
    metric: str
    higher_is_better: bool
    tolerance: float
    rows: tuple[Row, ...]
    seconds: float
    note: str = ""

    def check_measured(self) -> None:
        """Raise `NasError` with a reason if every row failed."""
        if all(row.failed for row in self.rows):
            raise NasError(f"every row failed; the first one with: {self.rows[0].failed}")


def read_sweep(folder: Path) -> SweepSummary:
    """Return a sweep's results, finished or not; raises `BadInput` if the folder has no run."""
    about = read_run_file(folder)
    model, tolerance = about.details["model"], about.details["tolerance"]
    better = about.higher_is_better
    rows = tuple(row_of(candidate, tolerance, better) for candidate in candidates_in(folder))
    note = about.details.get("note", "")
    return SweepSummary(folder, model, about.metric, better, tolerance, rows, about.seconds, note)


def row_of(candidate: Candidate, tolerance: float, higher_is_better: bool) -> Row:
    """Return a candidate of a sweep as a row."""
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
    """Return the measured rows by method, what and ap, then by level in ascending order."""
    found: dict[tuple[str, str, float], dict[float, list[Row]]] = {}
    for row in sorted(summary.rows, key=lambda row: row.level):
        if row.failed is None and row.metric_after is not None:
            found.setdefault(row.curve, {}).setdefault(row.level, []).append(row)
    return found


def knees(summary: SweepSummary) -> list[dict[str, Any]]:
    """Return, for every curve, the highest level that recovers and what it costs.

    A level recovers if the mean over the seeds loses no more than the tolerance.
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


def sweep_facts(summary: SweepSummary) -> dict[str, Any]:
    """Return what `nas sweep --json` prints."""
    return {
        "run": str(summary.folder),
        "model": summary.model,
        "metric": summary.metric,
        "rows": [asdict(row) for row in summary.rows],
        "knee": knees(summary),
        "faster": is_faster(summary),
        "timing_spread": timing_spread(summary),
        "seconds": summary.seconds,
    }


def is_faster(summary: SweepSummary) -> bool | None:
    """Return whether the pruned networks are faster than the dense ones, by the median.

    None if that cannot be told: the timings of one dense network disagree too much.
    """
    if timing_spread(summary) > SPREAD:
        return None
    gains = [
        row.milliseconds_dense / row.milliseconds_sparse
        for row in summary.rows
        if row.milliseconds_dense and row.milliseconds_sparse
    ]
    return bool(gains) and median(gains) >= GAIN


def timing_spread(summary: SweepSummary) -> float:
    """Return by what share the slowest timing of the dense network exceeds the fastest one."""
    times = [row.milliseconds_dense for row in summary.rows if row.milliseconds_dense]
    return max(times) / min(times) - 1 if times else 0.0


def _mean_cost(rows: Sequence[Row], higher_is_better: bool) -> float:
    return mean(cost(r.metric_dense or 0.0, r.metric_after or 0.0, higher_is_better) for r in rows)


def _sentence(knee: dict[str, Any], summary: SweepSummary) -> str:
    curve = f"{knee['method']}, {knee['what']}" + (f", ap {knee['ap']:g}" if knee["ap"] else "")
    if knee["level"] is None:
        return f"knee: {curve}: no level recovers"
    unit = "points" if summary.higher_is_better else "%"
    return f"knee: {curve}: {knee['level']:.0%} costs {100 * knee['cost']:.1f} {unit}"
