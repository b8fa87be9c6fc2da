"""A compression from its settings to a student that is tested, timed and written."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from compress.structure.layer_features import layer_widths
from compress.timing import speeds
from nas.core.errors import NasError, TargetNotMet
from nas.core.files import write_atomically
from nas.core.task import Task
from nas.jobs.compress.config import CompressConfig
from nas.jobs.compress.fit import find_fit
from nas.jobs.compress.job import OBJECTIVE, CompressJob
from nas.jobs.compress.report import card
from nas.jobs.compress.setup import compress_job, compress_plan, controller_of, student_space
from nas.jobs.compress.student_files import write_student
from nas.jobs.compress.summary import MEASURED, Measurements, Network, read_compression
from nas.jobs.compress.teacher import find_teacher
from nas.loop.candidate import Candidate
from nas.loop.driver import Watcher
from nas.loop.run_file import RunFile
from nas.loop.run_folder import RunFolder
from nas.loop.session import open_session
from nas.models.eight_bits import measured_int8
from nas.models.int8 import Int8
from nas.models.model_files import EXAMPLES
from nas.models.narrowed_files import network_of
from nas.training import check_device, evaluate, restore
from search_spaces.inputs import first


def run_compress(config: CompressConfig, watchers: Sequence[Watcher] = ()) -> None:
    """Search for a student, distil it, test, time and write it; continue the run if it exists.

    Raises `BadInput` before anything is written, `TargetNotMet` if no student is small enough,
    and as `nas.api.search` does.
    """
    check_device(config.training.device, config.execution.executor == "serial")
    if config.fit is not None:
        find_fit(config.fit)
    source, task = find_teacher(config)
    space = student_space(config, source, task)
    plan = compress_plan(config)
    make = partial(controller_of, config, space)
    make(0, config.policy)  # refuses what cannot be made before a file is written
    about = RunFile(
        kind="compress",
        settings=config.model_dump(mode="json"),
        seed=config.seed,
        objective=OBJECTIVE,
        metric=task.metric,
        higher_is_better=task.higher_is_better,
        details={"teacher": source.name, "note": source.note},
    )
    with open_session(config, about, watchers=watchers) as session:
        job = compress_job(config, source, task, space, session.run.folder)
        found = session.search(job, plan, make, config.controller.name, config.policy)
        _measure(session.run, job, task, _best(job, found))
        summary = read_compression(session.run.folder)
        write_atomically(summary.student_folder / "README.md", card(summary))


def _best(job: CompressJob, candidates: Sequence[Candidate]) -> Candidate:
    """Return the best student that meets the target, among those trained longest."""
    trained = [c for c in candidates if c.rungs and c.failed is None and c.duplicate_of is None]
    if not trained:
        raise NasError(f"no student could be trained; the first: {candidates[0].failed}")
    meeting = [c for c in trained if job.constraint.is_met(c.measures["cost"], c.measures["kept"])]
    best = max(meeting or trained, key=lambda c: (c.rungs[-1].step, c.rungs[-1].objective))
    if not meeting:
        raise TargetNotMet(
            f"no student met the target: the best is {1 / best.measures['cost']:.1f} times smaller "
            f"and keeps {best.measures['kept']:.1%} of the {job.task.metric}; go on with more "
            "--updates, or train longer"
        )
    return best


def _measure(run: RunFolder, job: CompressJob, task: Task, best: Candidate) -> None:
    """Test and time teacher and student, and write the student.

    The test data are used here for the first time.
    """
    teacher = job.source.build(0).cpu()
    student = job.student(best.number, best.architecture).cpu()
    restore(run.read_checkpoint(best.rungs[-1].checkpoint), student)
    inputs = task.score_batch(job.seed).inputs
    networks = [network_of(model) for model in (teacher, student)]
    slow, fast = speeds(networks, inputs)
    wide, narrow = map(layer_widths, networks)
    tested = [evaluate(model, task, task.test_batches()).metric for model in (teacher, student)]
    write_student(
        networks[1],
        best.architecture,
        job.source,
        task,
        first(inputs, EXAMPLES),
        run.folder / "student",
    )
    measured = Measurements(
        best=best.number,
        teacher=Network(tested[0], job.quality, slow, wide),
        student=Network(tested[1], best.rungs[-1].metric, fast, narrow),
        int8=_int8(run.folder / "student", task),
    )
    write_atomically(run.folder / MEASURED, json.dumps(asdict(measured), indent=1))


def _int8(folder: Path, task: Task) -> Int8 | str:
    """Write and test the student's int8 copy; return why there is none if that fails.

    Any failure of the quantiser costs the copy, not the run.
    """
    try:
        return measured_int8(folder, task, task.test_batches())
    except Exception as error:
        return str(error).partition("\n")[0] or type(error).__name__
