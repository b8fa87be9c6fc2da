"""The end of a compression: the best student within the limits, tested, timed and written."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from compress.limits import in_units
from compress.structure.layer_features import layer_widths
from compress.timing import speeds
from nas.core.errors import NasError, TargetNotMet
from nas.core.files import reason_of, write_atomically
from nas.core.task import Task
from nas.jobs.compress.costs import ROUNDS, Costs
from nas.jobs.compress.job import CompressJob, recorded
from nas.jobs.compress.report import card
from nas.jobs.compress.student_files import write_student
from nas.jobs.compress.summary import MEASURED, Measurements, Met, Network, read_compression
from nas.loop.candidate import Candidate
from nas.loop.run_folder import RunFolder
from nas.models.eight_bits import measured_int8
from nas.models.int8 import Int8
from nas.models.model_files import EXAMPLES
from nas.models.narrowed_files import network_of
from nas.training import evaluate, restore
from search_spaces.inputs import first

NEAR = 0.1  # students that break a limit by more are not measured again


def most_worth(candidate: Candidate) -> tuple[int, float]:
    """Order candidates by how long they were trained, then by their rewards."""
    return candidate.rungs[-1].step, candidate.rungs[-1].objective


def best_within(
    job: CompressJob,
    candidates: Sequence[Candidate],
    order: Callable[[Candidate], tuple[int, float]],
) -> tuple[Candidate, Costs]:
    """Return the first student, from high to low in an order, that meets the limits; and its costs.

    Those whose recorded costs are within the limits, or nearly, are measured again.
    Raises `TargetNotMet` if no student meets the limits.
    """
    trained = [c for c in candidates if c.rungs and c.failed is None and c.duplicate_of is None]
    if not trained:
        raise NasError(f"no student could be trained; the first: {candidates[0].failed}")
    missed: list[tuple[float, Costs, float]] = []
    for candidate in sorted(trained, key=order, reverse=True):
        costs, kept = recorded(candidate), candidate.measures["kept"]
        if job.limits.excess(costs, kept) <= NEAR:
            costs = job.costs(job.student(candidate.number, candidate.architecture), ROUNDS)
        excess = job.limits.excess(costs, kept)
        if excess == 0:
            return candidate, costs
        missed.append((excess, costs, kept))
    raise missed_target(job, *min(missed, key=lambda one: one[0])[1:])


def missed_target(job: CompressJob, costs: Costs, kept: float) -> TargetNotMet:
    """Return the error that tells of the student that came closest."""
    found = in_units(costs, job.limits.most or [job.cost], job.meter.setting, job.limits.most)
    return TargetNotMet(
        f"no student met the target: the closest has {found} and keeps {kept:.1%} of the "
        f"{job.task.metric}; go on with more --updates, or train longer"
    )


def finish(
    run: RunFolder,
    job: CompressJob,
    task: Task,
    best: Candidate,
    costs: Costs,
    programs: bool = True,
) -> None:
    """Test and time teacher and student, and write the student with its files.

    programs: whether to write programs that run without this project, and the int8 copy.
    The test data are used here for the first time.
    """
    teacher = job.source.build(0).cpu()
    student = job.student(best.number, best.architecture).cpu()
    restore(run.read_checkpoint(best.rungs[-1].checkpoint), student)
    inputs = task.score_batch(job.seed).inputs
    networks = [network_of(model) for model in (teacher, student)]
    slow, fast = speeds(networks, inputs)
    if job.meter.threads == 1:  # the figures that decided
        slow.milliseconds[job.meter.at_batch] = job.meter.teacher["milliseconds"]
        fast.milliseconds[job.meter.at_batch] = costs["milliseconds"]
    wide, narrow = map(layer_widths, networks)
    tested = [evaluate(model, task, task.test_batches()).metric for model in (teacher, student)]
    write_student(
        networks[1],
        best.architecture,
        job.source,
        task,
        first(inputs, EXAMPLES),
        run.folder / "student",
        programs,
    )
    measured = Measurements(
        best=best.number,
        teacher=Network(tested[0], job.quality, slow, wide),
        student=Network(tested[1], best.rungs[-1].metric, fast, narrow),
        int8=_int8(run.folder / "student", task)
        if programs
        else "it is made from a program, but programs is false",
        limits=Met(dict(job.limits.most), costs, job.meter.setting),
    )
    write_atomically(run.folder / MEASURED, json.dumps(asdict(measured), indent=1))
    summary = read_compression(run.folder)
    write_atomically(summary.student_folder / "README.md", card(summary))


def _int8(folder: Path, task: Task) -> Int8 | str:
    """Write and test the student's int8 copy; return why there is none if that fails.

    Any failure of the quantiser costs the copy, not the run.
    """
    try:
        return measured_int8(folder, task, task.test_batches())
    except Exception as error:
        return reason_of(error)
