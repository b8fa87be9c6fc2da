"""Runs a controller that answers one decision at a time as the sampler of an Optuna study."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

import numpy as np
from optuna import Study
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from search_spaces.decisions import Decision, Path
from search_spaces.options import BINS, Interval, bin_of, digits_of

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
    """Lets a policy drive any Optuna study.

    policy: answers the decisions. Its state is rebuilt from the finished trials when the sampler
        first sees a study that has some, so nothing else has to be stored.
    seed: seeds floats: the policy chooses one of 64 equal bins of the parameter's range by two
        decisions, see `search_spaces.options.digits_of`, and the float is drawn within the bin.

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
        self._rng = np.random.default_rng(seed)
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
        options = options_of(param_distribution)
        path = path_of(trial)
        if not isinstance(options, Interval):
            return options[self.policy.choose(path, param_name, len(options))]
        chosen: Path = ()
        for digit in digits_of(param_name):
            index = self.policy.choose((*path, *chosen), digit, BINS)
            chosen = (*chosen, Decision(digit, index, BINS))
        index = bin_of(decision.index for decision in chosen)
        return options.at((index + self._rng.random()) / len(options))

    def remember(self, study: Study, trial: FrozenTrial, values: Sequence[float] | None) -> None:
        """Learn from a recorded trial that is not part of the study; None if it failed."""
        state = TrialState.FAIL if values is None else TrialState.COMPLETE
        self._learn(study, trial, state, values)

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
        reward: Reward | tuple[float, ...] = None
        if state == TrialState.COMPLETE and values is not None:
            signs = [1 if d == StudyDirection.MAXIMIZE else -1 for d in study.directions]
            rewards = [s * value for s, value in zip(signs, values, strict=True)]
            reward = tuple(rewards) if len(rewards) > 1 else rewards[0]
        self.policy.learn(path_of(trial), reward)  # type: ignore[arg-type]


def supports_several(sampler: BaseSampler) -> bool:
    """Return whether a sampler can optimise several objectives; others than ours say so later."""
    ours = isinstance(sampler, PathSampler)
    return not ours or isinstance(sampler.policy, SeveralObjectives)


def path_of(trial: FrozenTrial) -> Path:
    """Return the decisions of a trial in the order in which they were made."""
    path = []
    for name, value in trial.params.items():
        options = options_of(trial.distributions[name])
        index = options.index(value)
        if isinstance(options, Interval) and len(options) > 1:
            path += [Decision(digit, i, BINS) for digit, i in digits_of(name, index).items()]
        else:
            path.append(Decision(name, index, len(options)))
    return tuple(path)


def options_of(distribution: BaseDistribution) -> Sequence[Any]:
    """Return the options of a parameter; raises `ValueError` for an unknown distribution."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices
    if isinstance(distribution, IntDistribution):
        return range(distribution.low, distribution.high + 1, distribution.step)
    if isinstance(distribution, FloatDistribution) and distribution.step is None:
        return Interval(distribution.low, distribution.high, distribution.log)
    if isinstance(distribution, FloatDistribution):
        return _Steps(distribution)
    raise ValueError(f"cannot choose a parameter of {distribution}")


class _Steps(Sequence[float]):
    """The floats of a parameter with a step, which rounding errors do not hide."""

    def __init__(self, parameter: FloatDistribution) -> None:
        self._low, self._step = parameter.low, parameter.step or 1.0
        self._length = round((parameter.high - parameter.low) / self._step) + 1

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: Any) -> Any:
        return self._low + index * self._step

    def index(self, value: Any, start: int = 0, stop: int | None = None) -> int:
        return round((value - self._low) / self._step)
