"""A sweep from its settings to its rows and its pruned networks."""

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace

from compress.pruning.masks import counted_sparsity
from nas.core.errors import NasError
from nas.core.executor import Resources
from nas.execution.choice import executor_of
from nas.jobs.sweep.bases import trained_bases
from nas.jobs.sweep.config import SweepConfig
from nas.jobs.sweep.job import SweepJob
from nas.jobs.sweep.pruning_grid import Pruning
from nas.jobs.sweep.report import write_sweep_report
from nas.jobs.sweep.rows import SweepSummary, row_of
from nas.jobs.sweep.setup import sweep_job
from nas.loop.candidate import Candidate
from nas.loop.driver import Watcher
from nas.loop.grid import Shown, whole_grid
from nas.loop.run_folder import Run
from nas.loop.signals import stop_on_signals
from nas.loop.tensorboard import Tracker
from nas.models.model_files import load_model, write_weights
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
        shown = Shown("nas sweep", job.task.metric, [tracker, *watchers])
        steps = job.epochs * job.epoch_steps
        candidates = whole_grid(run, job, executor, stop, config.execution, steps, shown)
        for candidate in candidates:
            if candidate.rungs:
                _write_pruned(run, job, candidate)
        summary = _summary(run, job, candidates, time.monotonic() - started)
        write_sweep_report(summary, run.folder / "report")
    if all(row.failed for row in summary.rows):
        raise NasError(f"no row could be measured; the first: {summary.rows[0].failed}")
    return summary


def _summary(
    run: Run, job: SweepJob, candidates: Sequence[Candidate], seconds: float
) -> SweepSummary:
    better = job.task.higher_is_better
    return SweepSummary(
        name=run.folder.name,
        model=job.source.name,
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
    row, source = Pruning(*candidate.architecture.spec), job.source  # type: ignore[misc]
    model = source.build(0)
    restore(run.read_checkpoint(candidate.rungs[-1].checkpoint), model)
    stated = counted_sparsity(model, row.what)
    facts = {"pruned": row._asdict(), "sparsity": stated}
    write_weights(model, source.architecture, source.space, source.shape, folder, facts)
    counted, removed = counted_sparsity(load_model(folder), row.what), row.level
    if counted != stated or counted < candidate.measures["sparsity"]:
        raise NasError(f"{folder}: {counted:.4f} of the weights are zero, {removed} were removed")
