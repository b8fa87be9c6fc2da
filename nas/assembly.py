"""A configuration made into what a search consists of: job, plan, controller, executor."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from nas.config import SearchConfig
from nas.controller import Controller
from nas.driver import Plan
from nas.errors import BadInput
from nas.execution.executor import Executor, Resources
from nas.execution.serial import SerialExecutor
from nas.halving import halved
from nas.jobs.search import SearchJob
from nas.registry import create, create_controller
from nas.tasks.task import Task
from nas.training import TrainingSettings
from search_spaces.space import ModelSize, SearchSpace


def search_job(config: SearchConfig) -> SearchJob:
    """What is measured, with the data loaded and everything that was named checked."""
    space: SearchSpace = create("spaces", config.space.name, config.space.options)
    train_size = ModelSize(**config.model.model_dump())
    screen_size = ModelSize(**config.screen.model_dump()) if config.screen else train_size
    task = load_task(config.task.name, config.task.options)
    _check_fit(space, task)
    return SearchJob(
        space=space,
        task=task,
        scores=tuple(create("scores", name) for name in config.scores),
        screen_size=screen_size,
        train_size=train_size,
        training=TrainingSettings(
            learning_rate=config.training.learning_rate,
            weight_decay=config.training.weight_decay,
            clip=config.training.clip,
            device=config.training.device,
        ),
        seed=config.seed,
        kernels=config.execution.kernels,
    )


def _check_fit(space: SearchSpace, task: Task) -> None:
    """Raises `BadInput` when the space has a `check` that refuses the task's data."""
    check = getattr(space, "check", None)
    if check is not None:
        try:
            check(task.shape)
        except ValueError as error:
            raise BadInput(f'space "{space.name}", task "{task.name}": {error}') from None


def search_plan(config: SearchConfig, job: SearchJob) -> Plan:
    """How many candidates, which rungs, how many places in each."""
    training = config.training
    steps = tuple(
        max(1, training.steps // training.reduction ** (training.rungs - 1 - i))
        for i in range(training.rungs)
    )
    if job.scores:
        places = halved(config.survivors, training.rungs, training.reduction)
    else:
        later = halved(config.survivors, max(1, training.rungs - 1), training.reduction)
        places = (config.candidates, *later)[: training.rungs]
    return Plan(
        candidates=config.candidates,
        steps=steps,
        places=places,
        batch=config.execution.batch if job.scores else 1,
        scored=bool(job.scores),
        higher_is_better=job.higher_is_better,
        deterministic=config.execution.deterministic,
        training=Resources(gpus=config.execution.gpus_per_survivor),
    )


def load_task(name: str, options: Mapping[str, Any]) -> Task:
    """The task by its name; raises `BadInput` when its data cannot be used."""
    options = dict(options)
    if "data" in options:
        options["data"] = Path(options["data"])
    return create("tasks", name, options)


def controller_of(config: SearchConfig, plan: Plan, trials: int) -> Controller:
    """The controller; its seed depends on how far the run is, or it would repeat itself."""
    rng = np.random.default_rng(np.random.SeedSequence([config.seed, trials]))
    sampler = create_controller(config.controller.name, rng, config.controller.options)
    return Controller(sampler, maximise=plan.scored and plan.higher_is_better)


@contextmanager
def executor_of(config: SearchConfig) -> Iterator[Executor]:
    if config.execution.executor == "serial":
        executor: Executor = SerialExecutor()
    else:
        from nas.execution.ray import RayExecutor

        executor = RayExecutor(config.execution.workers, config.execution.ray_address)
    try:
        yield executor
    finally:
        executor.close()
