"""Makes the parts of a search from its configuration: job, plan, controller."""

from pathlib import Path

import numpy as np

from nas.core.errors import BadInput
from nas.core.executor import Resources
from nas.core.job import Objective
from nas.core.registry import create, create_controller, create_score, load_task
from nas.core.task import Task
from nas.jobs.search.config import SearchConfig
from nas.jobs.search.job import SearchJob
from nas.jobs.search.tuning import TunedSpace
from nas.loop.controller import Controller
from nas.loop.halving import halved
from nas.loop.plan import Plan
from nas.loop.policy_file import load_policy, policy_of
from nas.loop.samplers import MULTI_OBJECTIVE, warmed
from nas.scores.step import STEP_MEASURES
from nas.training import TrainingSettings, check_device
from policies.path_sampler import supports_several
from search_spaces.space import ModelSize, SearchSpace


def search_job(config: SearchConfig) -> SearchJob:
    """Return the job, with its data loaded and all names checked."""
    check_device(config.training.device, config.execution.executor == "serial")
    space: SearchSpace = create("spaces", config.space.name, config.space.options)
    train_size = ModelSize(**config.model.model_dump())
    screen_size = ModelSize(**config.screen.model_dump()) if config.screen else train_size
    task = load_task(config.task.name, config.task.options)
    _check_fit(space, task)
    named = {*config.objectives, *(constraint.name for constraint in config.constraints)}
    return SearchJob(
        space=TunedSpace(space, config.tuned) if config.tune else space,
        task=task,
        scores=tuple(create_score(name) for name in config.scores),
        screen_size=screen_size,
        train_size=train_size,
        training=TrainingSettings(
            learning_rate=config.training.learning_rate,
            weight_decay=config.training.weight_decay,
            clip=config.training.clip,
            device=config.training.device,
            cools_until=config.training.steps if config.training.cooling else 0,
        ),
        seed=config.seed,
        kernels=config.execution.kernels,
        measured=tuple(name for name in STEP_MEASURES if name in named),
    )


def _check_fit(space: SearchSpace, task: Task) -> None:
    """Raise `BadInput` if the space refuses the task's data."""
    if task.shape.kind == "other":
        raise BadInput(
            f"{task.name}: spaces have networks for one tensor of tokens [B, T], features "
            "[B, T, C] or images [B, C, H, W]; let the loader yield one of these"
        )
    if not task.shape.outputs or not task.shape.inputs:
        lacking = "inputs" if task.shape.outputs else "outputs"
        raise BadInput(
            f"{task.name} does not say how many {lacking} a network has: make the task "
            f"with {lacking}=NUMBER"
        )
    try:
        space.check(task.shape)
    except ValueError as error:
        raise BadInput(f'space "{space.name}", task "{task.name}": {error}') from None


def search_plan(config: SearchConfig, job: SearchJob) -> Plan:
    """Return the plan: how many candidates, which rungs, how many places in each."""
    training = config.training
    steps = tuple(
        max(1, training.steps // training.reduction ** (training.rungs - 1 - i))
        for i in range(training.rungs)
    )
    later = halved(config.survivors, max(1, training.rungs - 1), training.reduction)
    places = (config.candidates, *later)[: training.rungs]
    if not config.optimised:
        places = halved(config.survivors, training.rungs, training.reduction)
    if len(config.optimised) > 1:  # a Pareto front has no ranking to halve by
        steps, places = (training.steps,), (config.candidates,)
    warm, rank_all = config.warm_start, config.ranking == "rank-sum"
    return Plan(
        candidates=config.candidates,
        steps=steps,
        places=places,
        batch=config.execution.batch,
        objective=job.objective,
        guide=None if config.optimised else Objective(job.scores[0].name, "", job.higher_is_better),
        higher_scores=job.higher_is_better,
        rank_sum={s.name: s.higher_is_better for s in job.scores} if rank_all else {},
        objectives=config.optimised,
        constraints=config.constraints,
        pool=warm.pool if warm else 0,
        opening=warm.best if warm else 0,
        deterministic=config.execution.deterministic,
        training=Resources(gpus=config.execution.gpus_per_survivor),
    )


def controller_of(
    config: SearchConfig, plan: Plan, trials: int, policy: Path | None = None
) -> Controller:
    """Return the controller, seeded also by the number of trials so far, so it repeats none.

    policy: the policy file to start from, if it exists.
    Raises `BadInput` for several objectives if the controller supports only one, and for a
    policy file that the controller cannot use.
    """
    rng = np.random.default_rng(np.random.SeedSequence([config.seed, trials]))
    name, options = config.controller.name, config.controller.options
    if config.warm_start:
        options = warmed(name, options, config.warm_start.best)
    sampler = create_controller(name, rng, options)
    objectives = len(plan.judged_by)
    if objectives > 1 and not supports_several(sampler):
        raise BadInput(
            f'controller "{name}" supports only one objective, not {objectives}: '
            f"use {', '.join(MULTI_OBJECTIVE)} for several"
        )
    if config.policy is not None:
        trained = policy_of(sampler, name)
        if policy is not None and policy.exists():
            load_policy(trained, policy)
    maximise = bool(plan.guide and plan.guide.higher_is_better)
    return Controller(sampler, maximise, objectives, seed=(config.seed, trials))
