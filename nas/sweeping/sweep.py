"""A sweep from its settings to its rows and its pruned networks."""

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace

from compress.masks import counted_sparsity
from nas.assembly import executor_of
from nas.driver import Driver, Watcher
from nas.errors import NasError
from nas.execution.executor import Executor, Resources
from nas.grid import Grid
from nas.jobs.pruning_grid import Pruning
from nas.jobs.sweep import SweepJob
from nas.model_files import load_model, write_weights
from nas.plan import Plan
from nas.progress import Progress
from nas.record import Candidate
from nas.reporting.sweep import write_sweep_report
from nas.reporting.sweep_rows import SweepSummary, row_of
from nas.run import Run
from nas.signals import Stop, stop_on_signals
from nas.sweeping.bases import trained_bases
from nas.sweeping.config import SweepConfig
from nas.sweeping.setup import sweep_job
from nas.tracking import Tracker
from nas.training import restore


def run_sweep(config: SweepConfig, watchers: Sequence[Watcher] = ()) -> SweepSummary:
    """Prune at every level by every method, let each recover; go on with the run where it exists.

    Raises `BadInput` before anything is written, and as `nas.api.search` does.
    """
    started = time.monotonic()
    job = sweep_job(config)
    here = config.execution.executor == "serial"
    with (
        Run.open(config.run, config.identity(), config.storage) as run,
        closing(Tracker(run.folder, job.task.metric, job.task.higher_is_better)) as tracker,
        executor_of(config.execution) as executor,
        stop_on_signals(config.execution.grace, here) as stop,
    ):
        resources = Resources(gpus=config.execution.gpus_per_survivor)
        bases = trained_bases(run.folder, job, executor, stop, resources)
        job = replace(job, bases=bases)
        candidates = _rows_measured(run, job, executor, stop, config, [tracker, *watchers])
        for candidate in candidates:
            if candidate.rungs:
                _write_pruned(run, job, candidate)
        summary = _summary(run, job, candidates, time.monotonic() - started)
        write_sweep_report(summary, run.folder / "report")
    if all(row.failed for row in summary.rows):
        raise NasError(f"no row could be measured; the first: {summary.rows[0].failed}")
    return summary


def _rows_measured(
    run: Run,
    job: SweepJob,
    executor: Executor,
    stop: Stop,
    config: SweepConfig,
    watchers: Sequence[Watcher],
) -> list[Candidate]:
    """The whole grid, by number: screening is pruning, training is recovery."""
    grid = Grid(job.space)
    plan = Plan(
        candidates=grid.size,
        steps=(job.epochs * job.epoch_steps,),
        places=(grid.size,),
        batch=1,
        deterministic=config.execution.deterministic,
        training=Resources(gpus=config.execution.gpus_per_survivor),
    )
    progress = Progress(grid.size, grid.size, job.task.metric, title="nas sweep")
    driver = Driver(run, grid, job, executor, plan, [progress, *watchers])
    with progress:
        driver.search(stop)
    return [driver.candidates[number] for number in sorted(driver.candidates)]


def _summary(
    run: Run, job: SweepJob, candidates: Sequence[Candidate], seconds: float
) -> SweepSummary:
    better = job.task.higher_is_better
    return SweepSummary(
        name=run.folder.name,
        model=job.subject.name,
        metric=job.task.metric,
        higher_is_better=better,
        tolerance=job.tolerance,
        rows=tuple(row_of(candidate, job.tolerance, better) for candidate in candidates),
        seconds=seconds,
    )


def _write_pruned(run: Run, job: SweepJob, candidate: Candidate) -> None:
    """The pruned network as files like any other's, read again and its zeros counted.

    Raises `NasError` when there are not as many as the files say, or fewer than were removed.
    """
    folder = run.folder / "pruned" / f"{candidate.number:04d}"
    if (folder / "architecture.json").exists():
        return
    row, subject = Pruning(*candidate.architecture.spec), job.subject  # type: ignore[misc]
    model = subject.build(0)
    restore(run.read_checkpoint(candidate.rungs[-1].checkpoint), model)
    stated = counted_sparsity(model, row.what)
    facts = {"pruned": row._asdict(), "sparsity": stated}
    write_weights(model, subject.architecture, subject.space, subject.shape, folder, facts)
    counted, removed = counted_sparsity(load_model(folder), row.what), row.level
    if counted != stated or counted < candidate.measures["sparsity"]:
        raise NasError(f"{folder}: {counted:.4f} of the weights are zero, {removed} were removed")
