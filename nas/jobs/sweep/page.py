"""The explorer of a sweep's rows."""

from collections import defaultdict
from dataclasses import asdict
from statistics import stdev

from nas.jobs.sweep.rows import Pruning, SweepSummary
from nas.jobs.sweep.rows import Row as Pruned
from nas.reporting.explorer import Column, Explorer, Row

ERROR = "± of the seeds"


def sweep_explorer(summary: SweepSummary) -> Explorer:
    """Return the explorer of all pruned networks.

    With several seeds, the bars are the standard deviation over the seeds of equal settings.
    """
    better, spreads = 1 if summary.higher_is_better else -1, _spreads(summary)
    after = f"{summary.metric} after recovery"
    titles = {
        "metric_after": Column(after, "result", "", better, ERROR if spreads else ""),
        "metric_before": Column(f"{summary.metric} right after pruning", "result", "", better),
        "metric_dense": Column(f"{summary.metric} before pruning", "result", "", better),
        "test_after": Column(f"test {summary.metric} after recovery", "result", "", better),
        "test_dense": Column(f"test {summary.metric} before pruning", "result", "", better),
        "metric_int8": Column(f"{summary.metric} in int8", "result", "", better),
        "recovery_epochs": Column("epochs to recover", "result", "", -1),
        "sparsity": Column("sparsity", "cost", "share of zeros", 1),
        "milliseconds_sparse": Column("pruned", "cost", "ms per example", -1),
        "milliseconds_dense": Column("dense", "cost", "ms per example", -1),
        "milliseconds_int8": Column("int8", "cost", "ms per example", -1),
        "dead": Column("dead units", "cost"),
        **{name: Column(name, "decision") for name in Pruning._fields},
    }
    rows = [_row(row, titles, spreads) for row in summary.rows]
    known = [c for c in titles.values() if any(r.values.get(c.name) is not None for r in rows)]
    decided = [n for n in Pruning._fields if len({getattr(r, n) for r in summary.rows}) > 1]
    shown = [c.name for c in known]
    wanted = ["sparsity", f"{summary.metric} right after pruning", after, "pruned"]
    drawn = [name for name in wanted if name in shown]
    return Explorer(
        title="Pruned networks",
        noun="network",
        columns=[Column("#", ""), *known, *([Column(ERROR, "")] if spreads else [])],
        rows=rows,
        table=[*decided, *drawn],
        axes=[*(name for name in decided if name != "seed"), *drawn],
        x="sparsity" if "sparsity" in shown else "#",
        y=after if after in shown else "#",
        colour=after,
    )


def _row(row: Pruned, titles: dict[str, Column], spreads: dict[Pruning, float]) -> Row:
    values = asdict(row)
    cells = {column.name: values[name] for name, column in titles.items()}
    label = f"{row.method} {row.what} {row.level:g}" + (f" ap {row.ap:g}" if row.ap else "")
    status = "failed" if row.failed else "trained" if row.metric_after is not None else "screened"
    spread = spreads.get(_without_seed(row))
    return Row(row.number, label, status, {"#": row.number, ERROR: spread, **cells}, row.failed)


def _spreads(summary: SweepSummary) -> dict[Pruning, float]:
    """Return the standard deviation of the metric for all settings with several seeds."""
    found: dict[Pruning, list[float]] = defaultdict(list)
    for row in summary.rows:
        if row.metric_after is not None and row.failed is None:
            found[_without_seed(row)].append(row.metric_after)
    return {key: stdev(values) for key, values in found.items() if len(values) > 1}


def _without_seed(row: Pruned) -> Pruning:
    return Pruning(row.method, row.what, row.ap, row.level, 0)
