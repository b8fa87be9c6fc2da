"""Gives a run's students a new target: the best that meets it is trained to its end and written."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from nas.core.errors import BadInput, NasError, TargetNotMet
from nas.core.executor import CandidateFailed
from nas.core.files import read_bytes
from nas.core.trust import named_by
from nas.jobs.compress.config import CompressConfig
from nas.jobs.compress.costs import ROUNDS, Costs
from nas.jobs.compress.finish import best_within, finish, missed_target
from nas.jobs.compress.job import OBJECTIVE, CompressJob
from nas.jobs.compress.setup import compress_job, compress_plan, student_space, within_limits
from nas.jobs.compress.teacher import find_teacher
from nas.loop.candidate import Candidate, candidates_in
from nas.loop.run_file import FILE, RunFile, keep_run_file, read_run_file
from nas.loop.run_folder import RunFolder
from nas.models.description import MOST_WEIGHTS
from search_spaces.architecture import Architecture
from search_spaces.layer_removal.space import student_of

T = TypeVar("T")


def run_resolve(config: CompressConfig) -> None:
    """Write the student of an earlier run, `config.resolve`, that meets new limits.

    Where students of the record meet them, the best one is trained to the end, if it is not yet;
    where none does, the best one is made smaller and trained. Nothing else is trained.
    Raises `BadInput` and `TargetNotMet` as `run_compress` does.
    """
    assert config.resolve is not None
    about, settings = _settings(config, config.resolve)
    with named_by(config.resolve / FILE):
        source, task = find_teacher(settings)
    limited = within_limits(settings, student_space(settings, source, task), task)
    job = compress_job(settings, source, task, limited, config.resolve)
    new = {"seconds": 0.0, "started": "", "ended": None, "finished": False}
    about = replace(about, settings=settings.model_dump(mode="json"), **new)
    with (
        RunFolder.open(config.run, settings.identity(), (OBJECTIVE,)) as run,
        keep_run_file(run.folder, about),
    ):
        chosen, costs = _chosen(job, config.resolve)
        how = "meets" if chosen.rungs else "is made for"
        print(f"student {chosen.number} of {config.resolve} {how} the limits", file=sys.stderr)
        until = compress_plan(settings).steps[-1]
        trained = _trained(run, job, chosen, config.resolve, until)
        kept = trained.measures["kept"]
        if not job.limits.are_met(costs, kept):
            raise missed_target(job, costs, kept)
        finish(run, job, task, trained, costs, settings.programs)


def _settings(config: CompressConfig, earlier: Path) -> tuple[RunFile, CompressConfig]:
    """Return the earlier run's file, and its settings with the new limits."""
    about = read_run_file(earlier)
    if about.kind != "compress":
        raise BadInput(f"{earlier} holds a run of `nas {about.kind}`: pass one of `nas compress`")
    if about.settings.get("resolve"):
        raise BadInput(f"{earlier} holds no search: pass {about.settings['resolve']} instead")
    trained = [candidate for candidate in candidates_in(earlier) if candidate.rungs]
    if not trained:
        raise BadInput(f"{earlier} has no trained students yet: let `nas compress` finish first")
    if "milliseconds" not in trained[0].measures:
        raise BadInput(f"{earlier} was written by an earlier version of nas: start it again")
    return about, CompressConfig(**{**about.settings, **config.new_target()})


def _chosen(job: CompressJob, earlier: Path) -> tuple[Candidate, Costs]:
    """Return the best recorded student within the limits, else the best one made smaller."""
    candidates = candidates_in(earlier)
    before = read_run_file(earlier).settings
    if (job.meter.at_batch, job.meter.threads) != (before["at_batch"], before["threads"]):
        candidates = tuple(_timed_again(job, c) for c in candidates)
    try:
        return best_within(job, candidates, _quality)
    except TargetNotMet:
        if job.space.adjust is None:
            raise
    best = max((c for c in candidates if c.rungs and c.failed is None), key=_quality)
    student = job.space.adjust(student_of(best.architecture))
    made = Candidate(len(candidates), Architecture(job.space.name, student))
    return made, job.costs(job.student(made.number, made.architecture), ROUNDS)


def _quality(candidate: Candidate) -> tuple[int, float]:
    """Order candidates by how long they were trained, then by what they keep of the teacher."""
    return candidate.rungs[-1].step, candidate.measures["kept"]


def _timed_again(job: CompressJob, candidate: Candidate) -> Candidate:
    """Return the candidate with what it costs at the new batch size and number of threads."""
    if not candidate.rungs or candidate.failed is not None:
        return candidate
    taken = job.costs(job.student(candidate.number, candidate.architecture))["milliseconds"]
    return replace(candidate, measures={**candidate.measures, "milliseconds": taken})


def _trained(
    run: RunFolder, job: CompressJob, candidate: Candidate, earlier: Path, until: int
) -> Candidate:
    """Train a candidate until this step, from its last checkpoint, and record it in the run."""
    number, architecture, checkpoint = candidate.number, candidate.architecture, None
    if candidate.rungs:
        last = candidate.rungs[-1]
        file = earlier / last.checkpoint
        checkpoint = read_bytes(
            file, "restore it from a copy, or run `nas compress` again", MOST_WEIGHTS
        )
        run.write_checkpoint(number, last.step, job.checkpoint_suffix, checkpoint)
    else:
        candidate = candidate.screened(_done(*job.screen([(number, architecture)])))
    if not candidate.rungs or candidate.rungs[-1].step < until:
        trained = _done(job.train(number, architecture, until, checkpoint))
        suffix = job.checkpoint_suffix
        name = run.write_checkpoint(number, trained.step, suffix, trained.checkpoint)
        candidate = candidate.trained(trained, name)
    run.write(candidate)
    return candidate


def _done(result: T | CandidateFailed) -> T:
    if isinstance(result, CandidateFailed):
        raise NasError(f"the student failed: {result}")
    return result
