"""A compression from its settings to a student that is tested, timed and written."""

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from compress.reward import Constraint
from compress.speed import speeds
from compress.structure.graph import CannotTrace
from compress.structure.layer_features import layer_widths
from compress.structure.outline import outline_of
from nas.core.errors import BadInput, NasError, TargetNotMet
from nas.core.executor import Resources
from nas.core.registry import create_controller
from nas.core.task import Task
from nas.execution.choice import executor_of
from nas.jobs.compress.config import CompressConfig
from nas.jobs.compress.distilled import Distilled
from nas.jobs.compress.job import CompressJob, StudentMaker, cost_share, network_of
from nas.jobs.compress.report import CompressSummary, Network, write_compress_report
from nas.jobs.compress.student_files import write_student
from nas.jobs.compress.teacher import answers_of, checked_quality, find_teacher
from nas.loop.candidate import Candidate
from nas.loop.controller import Controller
from nas.loop.driver import Driver, Plan, Watcher
from nas.loop.halving import halved
from nas.loop.policy_file import begun, load_policy, policy_of, save_policy
from nas.loop.progress import Progress
from nas.loop.run_folder import Run
from nas.loop.samplers import OF_TEACHERS, warmed
from nas.loop.session import drawer_of
from nas.loop.signals import stop_on_signals
from nas.loop.tensorboard import Tracker
from nas.models.source import ModelSource
from nas.models.trained import with_trained_weights
from nas.training import TrainingSettings, evaluate, restore
from search_spaces.layer_removal.space import SHARES, LayerRemovalSpace


def run_compress(config: CompressConfig, watchers: Sequence[Watcher] = ()) -> CompressSummary:
    """Search for a student, distil it, test and time it; go on with the run where it exists.

    Raises `BadInput` before anything is written, `TargetNotMet` when no student is small enough,
    and as `nas.api.search` does.
    """
    started = time.monotonic()
    source, task = find_teacher(config)
    space = _space(config, source, task)
    plan = _plan(config)
    _controller(config, space, 0, config.policy)  # refuses what cannot be made before any file
    here = config.execution.executor == "serial"
    with (
        Run.open(config.run, config.identity(), config.storage) as run,
        closing(Tracker(run.folder, task.metric, task.higher_is_better)) as tracker,
        executor_of(config.execution) as executor,
        stop_on_signals(config.execution.grace, here) as stop,
    ):
        job = _job(config, source, task, space, run.folder)
        progress = Progress(plan.records, sum(plan.places), task.metric)
        was_over = run.is_over(plan.records)
        name, make = config.controller.name, partial(_controller, config, space)
        controller = begun(run, config.policy, name, make)
        drawer = drawer_of(config.seed, len(run.trials()))
        told = [progress, tracker, *watchers]
        driver = Driver(run, controller, job, executor, plan, told, drawer)
        with progress:
            driver.search(stop)
        if config.policy is not None and not was_over:
            save_policy(policy_of(controller.sampler, name), config.policy)
        candidates = tuple(driver.candidates[number] for number in sorted(driver.candidates))
        best = _best(job, candidates)
        summary = _measured(run, job, task, candidates, best, time.monotonic() - started)
        write_compress_report(summary, run.folder / "report")
    return summary


def _space(config: CompressConfig, source: ModelSource, task: Task) -> LayerRemovalSpace:
    """The students there are; raises `BadInput` where none is small enough."""
    batch = task.score_batch(config.seed)
    example = batch.inputs[:2]
    model = source.build(0).eval()
    try:
        outline = outline_of(network_of(model), example)
    except CannotTrace as error:
        raise BadInput(f"{source.name}: {error}") from None
    except RuntimeError as error:
        shape = "×".join(map(str, example.shape[1:]))
        reason = str(error).splitlines()[0]
        raise BadInput(f"{source.name} cannot take inputs of {shape}: {reason}") from None
    if not outline.removable and not outline.channels:
        raise BadInput(f"nothing of {source.name} can be removed or narrowed")
    maker = StudentMaker(source, example, config.inherit)
    space = LayerRemovalSpace(outline, maker, round(config.narrowest * SHARES))
    if config.target_compression is not None:
        smallest = space.make(space.smallest(), torch.Generator())
        share = cost_share(config.cost, model, smallest, batch)
        if share * config.target_compression > 1:
            raise BadInput(
                f"no student of {source.name} has {config.target_compression:g} times fewer "
                f"{config.cost}: the smallest has {1 / share:.1f} times fewer"
            )
    return space


def _plan(config: CompressConfig) -> Plan:
    """Every student trains in the first rung, whose reward the controller is told."""
    training, students = config.training, config.updates * config.rollouts
    steps = tuple(
        max(1, training.steps // training.reduction ** (training.rungs - 1 - i))
        for i in range(training.rungs)
    )
    later = halved(min(config.survivors, students), max(1, training.rungs - 1), training.reduction)
    return Plan(
        candidates=students,
        steps=steps,
        places=(students, *later)[: training.rungs],
        batch=1,
        scored=False,
        pool=config.pool,
        opening=config.rollouts if config.pool else 0,
        deterministic=config.execution.deterministic,
        training=Resources(gpus=config.execution.gpus_per_survivor),
    )


def _controller(
    config: CompressConfig, space: LayerRemovalSpace, trials: int, policy: Path | None
) -> Controller:
    """It is told each reward below zero, and so minimises; its seed depends on how far the run is.

    policy: the file that it begins with, if there is one.
    """
    rng = np.random.default_rng(np.random.SeedSequence([config.seed, trials]))
    name, options = config.controller.name, config.controller.options
    if name in ("policy-gradient", *OF_TEACHERS):
        options.setdefault("batch", config.rollouts)
    if name in OF_TEACHERS:
        options["space"] = space
    if config.pool:
        options = warmed(name, options, config.rollouts)
    sampler = create_controller(name, rng, options)
    if config.policy is not None:
        trained = policy_of(sampler, name)
        if policy is not None and policy.exists():
            load_policy(trained, policy)
    return Controller(sampler, maximise=False)


def _job(
    config: CompressConfig,
    source: ModelSource,
    task: Task,
    space: LayerRemovalSpace,
    folder: Path,
) -> CompressJob:
    """The job, with a teacher that is trained and has answered every training example."""
    settings = TrainingSettings(
        learning_rate=config.training.learning_rate,
        weight_decay=config.training.weight_decay,
        clip=config.training.clip,
        device=config.training.device,
    )
    file = folder / "teacher.safetensors"
    source = with_trained_weights(source, task, config.teacher_steps, settings, file)
    quality = checked_quality(source, task).metric
    answered = answers_of(source, task, config.cache)
    maker = replace(space.make, source=source)  # type: ignore[type-var]
    target = config.target_compression
    return CompressJob(
        space=replace(space, make=maker),
        source=source,
        task=Distilled(task, answered, config.training.method, config.training.temperature),
        training=settings,
        cost=config.cost,
        constraint=Constraint(None if target is None else 1 / target, config.least_accuracy),
        quality=quality,
        rollouts=config.rollouts,
        pool=config.pool,
        steps=config.training.steps,
        noise=config.training.noise,
        guide=config.training.guide,
        guidance=config.training.guidance,
        seed=config.seed,
    )


def _best(job: CompressJob, candidates: Sequence[Candidate]) -> Candidate:
    """Of the students trained longest the one of the highest reward that meets the target."""
    trained = [c for c in candidates if c.rungs and c.failed is None and c.duplicate_of is None]
    if not trained:
        raise NasError(f"no student could be trained; the first: {candidates[0].failed}")
    meeting = [c for c in trained if job.constraint.is_met(c.measures["cost"], c.measures["kept"])]
    best = max(meeting or trained, key=lambda c: (c.rungs[-1].step, c.measures["reward"]))
    if not meeting:
        raise TargetNotMet(
            f"no student met the target: the best is {1 / best.measures['cost']:.1f} times smaller "
            f"and keeps {best.measures['kept']:.1%} of the accuracy; go on with more --updates, or "
            "train longer"
        )
    return best


def _measured(
    run: Run,
    job: CompressJob,
    task: Task,
    candidates: tuple[Candidate, ...],
    best: Candidate,
    seconds: float,
) -> CompressSummary:
    """Teacher and student on the test data, which nothing has touched before, and their speed."""
    teacher = job.source.build(0).cpu()
    student = job.student(best.number, best.architecture).cpu()
    restore(run.read_checkpoint(best.rungs[-1].checkpoint), student)
    inputs = task.score_batch(job.seed).inputs
    networks = [network_of(model) for model in (teacher, student)]
    slow, fast = speeds(networks, inputs)
    wide, narrow = map(layer_widths, networks)
    tested = [evaluate(model, task, task.test_batches()).metric for model in (teacher, student)]
    folder = run.folder / "student"
    write_student(networks[1], best.architecture, job.source, task, inputs[:1], folder)
    return CompressSummary(
        name=run.folder.name,
        teacher_name=job.source.name,
        metric=task.metric,
        higher_is_better=task.higher_is_better,
        teacher=Network(tested[0], job.quality, slow, wide),
        student=Network(tested[1], best.rungs[-1].metric, fast, narrow),
        path=str(folder),
        best=best,
        candidates=candidates,
        seconds=seconds,
    )
