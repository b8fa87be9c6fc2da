"""A compression's settings made into its space, plan, controller and job."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from compress.reward import Constraint
from compress.structure.graph import CannotTrace
from compress.structure.outline import outline_of
from nas.core.errors import BadInput
from nas.core.executor import Resources
from nas.core.registry import create_controller
from nas.core.task import Task
from nas.jobs.compress.config import CompressConfig
from nas.jobs.compress.distilled import Distilled
from nas.jobs.compress.job import OBJECTIVE, CompressJob, StudentMaker, cost_share
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
    """The students there are; raises `BadInput` where none is small enough."""
    batch = task.score_batch(config.seed)
    example = first(batch.inputs, 2)
    model = source.build(0).eval()
    try:
        outline = outline_of(network_of(model), example)
    except CannotTrace as error:
        raise BadInput(f"{source.name}: {error}") from None
    except Exception as error:  # of anybody's code
        shape = ", ".join("×".join(map(str, x.shape[1:])) for x in tensors_of(example))
        reason = (str(error).splitlines() or [type(error).__name__])[0]
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
        fit=config.fit,
    )
