"""Runs a sweep and writes its pruned networks."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from compress.names import CHANNELS
from compress.pruning.channel_masks import channels_left
from compress.pruning.masks import counted_sparsity
from compress.structure.student import narrowed
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
from nas.models.file_checks import Written
from nas.models.model_files import EXAMPLES, add_programs, describe, load_model, write_weights
from nas.models.narrowed_files import write_narrowed
from nas.scores.size import count_parameters
from nas.training import restore
from search_spaces.inputs import first


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
                _write_pruned(run, job, candidate, config.programs)


def _write_pruned(run: RunFolder, job: SweepJob, candidate: Candidate, programs: bool) -> None:
    """Write a row's network as files and check them; of pruned channels it is the small network.

    Raises `NasError` if the files do not hold what the row says.
    """
    folder = run.folder / "pruned" / f"{candidate.number:04d}"
    if (folder / "architecture.json").exists():
        return
    row = Pruning(*candidate.architecture.spec)  # type: ignore[misc]
    model = job.source.build(0)
    restore(run.read_checkpoint(candidate.rungs[-1].checkpoint), model)
    if row.what == CHANNELS:
        _write_small(model, row, job, candidate.parameters, folder, programs)
    else:
        _write_sparse(model, row, job, candidate.measures["sparsity"], folder, programs)


def _write_small(
    model: nn.Module,
    row: Pruning,
    job: SweepJob,
    parameters: int | None,
    folder: Path,
    programs: bool,
) -> None:
    inputs = _examples(job)
    small = narrowed(model, *channels_left(model.eval(), inputs[:1], row.level))
    counted = count_parameters(small)
    if counted != parameters:
        raise NasError(f"{folder}: {counted} parameters are left, {parameters} were announced")
    source, facts = job.source, {"pruned": row._asdict(), "parameters": counted}
    described = describe(source.architecture, source.space, source.shape, facts)
    write_narrowed(small, source, described, inputs, folder, programs)


def _write_sparse(
    model: nn.Module, row: Pruning, job: SweepJob, measured: float, folder: Path, programs: bool
) -> None:
    """Write the network with its zeros; `nas export` writes the programs of one row."""
    source, stated = job.source, counted_sparsity(model, row.what)
    facts = {"pruned": row._asdict(), "sparsity": stated}
    if source.narrowed is None:
        write_weights(model, source.architecture, source.space, source.shape, folder, facts)
    else:
        described = describe(source.architecture, source.space, source.shape, facts)
        write_narrowed(model, source, described, _examples(job), folder, programs)
    counted, removed = counted_sparsity(load_model(folder), row.what), row.level
    if counted != stated or counted < measured:
        raise NasError(
            f"{folder}: {counted:.4f} of the written weights are zero, but {removed} were removed"
        )


def add_row_programs(config: SweepConfig, folder: Path) -> Written:
    """Write the programs of a copied row that has weights only.

    Raises `BadInput` if the sweep's data are not there any more.
    """
    job = sweep_job(config)
    return add_programs(load_model(folder), _examples(job), job.source.shape.data, folder)


def _examples(job: SweepJob) -> Any:
    return first(job.task.score_batch(job.seed).inputs, EXAMPLES)
