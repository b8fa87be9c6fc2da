"""Runs a sweep and writes its pruned networks."""

from collections.abc import Sequence
from dataclasses import replace

from compress.pruning.masks import counted_sparsity
from nas.core.errors import NasError
from nas.jobs.sweep.bases import trained_bases
from nas.jobs.sweep.config import SweepConfig
from nas.jobs.sweep.job import SweepJob
from nas.jobs.sweep.rows import Pruning
from nas.jobs.sweep.setup import sweep_job
from nas.loop.candidate import Candidate
from nas.loop.driver import Watcher
from nas.loop.run_file import RunFile
from nas.loop.run_folder import RunFolder
from nas.loop.session import open_session
from nas.models.model_files import load_model, write_weights
from nas.training import restore


def run_sweep(config: SweepConfig, watchers: Sequence[Watcher] = ()) -> None:
    """Prune at every level with every method and retrain; continue the run if it exists.

    Raises the errors of `nas.api.search`; `BadInput` before anything is written.
    """
    job = sweep_job(config)
    about = RunFile(
        kind="sweep",
        settings=config.model_dump(mode="json"),
        seed=config.seed,
        objective=job.objective,
        metric=job.task.metric,
        higher_is_better=job.task.higher_is_better,
        details={
            "model": job.source.name,
            "tolerance": job.tolerance,
            "note": job.source.note,
        },
    )
    with open_session(config, about, watchers=watchers) as session:
        run = session.run
        bases = trained_bases(run.folder, job, session.executor, session.stop, session.training)
        job = replace(job, bases=bases)
        for candidate in session.whole_grid(job, job.epochs * job.epoch_steps):
            if candidate.rungs:
                _write_pruned(run, job, candidate)


def _write_pruned(run: RunFolder, job: SweepJob, candidate: Candidate) -> None:
    """Write the pruned network, read it again and count the zeros.

    Raises `NasError` if the count differs from the recorded one or is below what was removed.
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
        raise NasError(
            f"{folder}: {counted:.4f} of the written weights are zero, but {removed} were removed"
        )
