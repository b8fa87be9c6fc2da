"""Runs a controller that answers one decision at a time as the sampler of an Optuna study."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

from optuna import Study
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from search_spaces.decisions import Decision, Path

Reward = None | float | tuple[float, ...]  # None for a failure; a tuple for several objectives


class Policy(Protocol):
    """The interface of a controller."""

    def choose(self, path: Path, name: str, options: int) -> int:
        """Return the index of the option to take after the decisions of `path`.

        A path that is empty, or in which every decision had a single option, begins a new proposal:
        Optuna does not ask a sampler about decisions with a single option.
        """
        ...

    def learn(self, path: Path, reward: float | None) -> None:
        """Receive the result of a proposal: higher is better, None if it failed."""
        ...


@runtime_checkable
class SeveralObjectives(Protocol):
    """A policy that also learns rewards of several objectives."""

    def learn(self, path: Path, reward: Reward) -> None: ...

    def scalarised(self, *args: Any) -> Any:
        """Return rewards as single numbers."""
        ...


@runtime_checkable
class UsesScores(Protocol):
    """A policy that can use training-free scores before, or without, a reward."""

    def offer(self, path: Path, scores: Sequence[float]) -> None:
        """Receive the scores of a candidate that may be proposed; their number never changes."""
        ...


class PathSampler(BaseSampler):
    """Lets a policy drive any Optuna study of integer and categorical parameters.

    policy: answers the decisions. Its state is rebuilt from the finished trials when the sampler
        first sees a study that has some, so nothing else has to be stored.
    seed: seeds the other parameters (floats), which are drawn at random.

    >>> import numpy as np, optuna
    >>> from policies.evolution import RegularisedEvolution
    >>> optuna.logging.set_verbosity(optuna.logging.WARNING)
    >>> policy = RegularisedEvolution(np.random.default_rng(0), population=10)
    >>> study = optuna.create_study(sampler=PathSampler(policy))
    >>> study.optimize(lambda trial: abs(trial.suggest_int("n", 0, 100) - 42), n_trials=100)
    >>> study.best_value < 10
    True
    """

    def __init__(self, policy: Policy, seed: int | None = None) -> None:
        self.policy = policy
        self._random = RandomSampler(seed)
        self._learnt: set[int] = set()

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {}

    def offer(self, trial: FrozenTrial, scores: Sequence[float]) -> None:
        """Pass a candidate's training-free scores to the policy if it uses them."""
        if isinstance(self.policy, UsesScores):
            self.policy.offer(path_of(trial), scores)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Learn from trials that finished before this sampler existed, in order of completion.

        Raises `ValueError` for several objectives if the policy supports only one.
        """
        if len(study.directions) > 1 and not supports_several(self):
            raise ValueError(f"{type(self.policy).__name__} supports only one objective")
        if not self._learnt:
            finished = [old for old in study.get_trials(deepcopy=False) if old.state.is_finished()]
            for old in sorted(finished, key=lambda old: old.datetime_complete or datetime.min):
                self._learn(study, old, old.state, old.values)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        options = _options(param_distribution)
        if options is None:
            return self._random.sample_independent(study, trial, param_name, param_distribution)
        return options[self.policy.choose(path_of(trial), param_name, len(options))]

    def remember(self, study: Study, trial: FrozenTrial, value: object) -> None:
        """Learn from a recorded trial that is not part of the study; None if it failed."""
        state = TrialState.FAIL if value is None else TrialState.COMPLETE
        values = value if isinstance(value, tuple) else (value,)
        self._learn(study, trial, state, None if value is None else [*map(float, values)])

    def after_trial(
        self,
        study: Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        self._learn(study, trial, state, values)

    def _learn(
        self,
        study: Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        self._learnt.add(trial.number)
        reward: Reward = None
        if state == TrialState.COMPLETE and values is not None:
            signs = [1 if d == StudyDirection.MAXIMIZE else -1 for d in study.directions]
            rewards = tuple(s * value for s, value in zip(signs, values, strict=True))
            reward = rewards if len(rewards) > 1 else rewards[0]
        self.policy.learn(path_of(trial), reward)  # type: ignore[arg-type]


def supports_several(sampler: BaseSampler) -> bool:
    """Return whether a sampler can optimise several objectives; others than ours say so later."""
    ours = isinstance(sampler, PathSampler)
    return not ours or isinstance(sampler.policy, SeveralObjectives)


def path_of(trial: FrozenTrial) -> Path:
    """Return the decisions of a trial in the order in which they were made."""
    path = []
    for name, value in trial.params.items():
        options = _options(trial.distributions[name])
        if options is not None:
            path.append(Decision(name, options.index(value), len(options)))
    return tuple(path)


def _options(distribution: BaseDistribution) -> Sequence[Any] | None:
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices
    if isinstance(distribution, IntDistribution):
        return range(distribution.low, distribution.high + 1, distribution.step)
    return None
