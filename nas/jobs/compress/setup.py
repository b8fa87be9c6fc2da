"""A compression's settings made into its space, plan, controller and job."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from compress.limits import Limits
from compress.structure.graph import CannotTrace
from compress.structure.outline import outline_of
from nas.core.errors import BadInput
from nas.core.executor import Resources
from nas.core.files import reason_of
from nas.core.registry import create_controller
from nas.core.task import Task
from nas.jobs.compress.adjusting import Adjusting, table_file
from nas.jobs.compress.config import CompressConfig
from nas.jobs.compress.costs import Meter, check_limits, limits_of
from nas.jobs.compress.distilled import Distilled
from nas.jobs.compress.job import OBJECTIVE, CompressJob
from nas.jobs.compress.kept import kept_lines
from nas.jobs.compress.students import StudentMaker
from nas.jobs.compress.teacher import answers_of, checked_quality
from nas.loop.controller import Controller
from nas.loop.halving import halved
from nas.loop.plan import Plan
from nas.loop.policy_file import load_policy, policy_of
from nas.loop.samplers import OF_TEACHERS, warmed
from nas.models.narrowed_files import network_of
from nas.models.source import ModelSource
from nas.models.trained import with_trained_weights
from nas.training import TrainingSettings
from search_spaces.inputs import first, tensors_of
from search_spaces.layer_removal.space import SHARES, LayerRemovalSpace


def student_space(config: CompressConfig, source: ModelSource, task: Task) -> LayerRemovalSpace:
    """Return the students there are; raises `BadInput` if there are none."""
    example = first(task.score_batch(config.seed).inputs, 2)
    try:
        outline = outline_of(network_of(source.build(0).eval()), example)
    except CannotTrace as error:
        raise BadInput(f"{source.name}: {error}") from None
    except Exception as error:  # of anybody's code
        shape = ", ".join("×".join(map(str, x.shape[1:])) for x in tensors_of(example))
        raise BadInput(f"{source.name} cannot take inputs of {shape}: {reason_of(error)}") from None
    if not outline.removable and not outline.channels:
        why = "; ".join(kept_lines(outline.kept))
        raise BadInput(f"nothing of {source.name} can be removed or narrowed: {why}")
    maker = StudentMaker(source, example, config.inherit)
    return LayerRemovalSpace(outline, maker, round(config.narrowest * SHARES))


def within_limits(
    config: CompressConfig, space: LayerRemovalSpace, task: Task
) -> tuple[LayerRemovalSpace, Meter, Limits]:
    """Return the space with students adjusted to the limits, what measures them, and the limits.

    Raises `BadInput` if no student can meet the limits, or the teacher does.
    """
    maker: StudentMaker = space.make  # type: ignore[assignment]
    teacher = maker.source.build(0).eval()
    meter = Meter.of(teacher, task.score_batch(config.seed), config.at_batch, config.threads)
    limits = limits_of(config, meter.teacher)
    if not limits.most:
        return space, meter, limits
    smallest = space.make(space.smallest(), torch.Generator())
    check_limits(maker.source.name, limits, meter, meter.costs(smallest, teacher))
    file = table_file(config.cache)
    adjust = Adjusting(space.outline, space.narrowest, maker, meter, limits, file)
    return replace(space, adjust=adjust), meter, limits


def compress_plan(config: CompressConfig) -> Plan:
    """Return the plan: every student trains in the first rung, and its reward guides the search."""
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
        objective=OBJECTIVE,
        pool=config.pool,
        opening=config.rollouts if config.pool else 0,
        deterministic=config.execution.deterministic,
        training=Resources(gpus=config.execution.gpus_per_survivor),
    )


def controller_of(
    config: CompressConfig, space: LayerRemovalSpace, trials: int, policy: Path | None
) -> Controller:
    """Return the controller, which minimises costs; its seed depends on the number of trials.

    policy: the policy file that it starts from, if there is one.
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


def compress_job(
    config: CompressConfig,
    source: ModelSource,
    task: Task,
    limited: tuple[LayerRemovalSpace, Meter, Limits],
    folder: Path,
) -> CompressJob:
    """Return the job, with a teacher that is trained and has answered every training example.

    limited: see `within_limits`.
    """
    space, meter, limits = limited
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
    return CompressJob(
        space=replace(space, make=maker),
        source=source,
        task=Distilled(task, answered, config.training.method, config.training.temperature),
        training=settings,
        cost=config.cost,
        limits=limits,
        meter=meter,
        quality=quality,
        has_pool=config.pool > 0,
        steps=config.training.steps,
        noise=config.training.noise,
        guide=config.training.guide,
        guidance=config.training.guidance,
        seed=config.seed,
        fit=config.fit,
    )
