"""The controller's study: in memory, with every proposal and what the controller was told of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState

from nas.core.errors import BadInput
from policies.path_sampler import PathSampler
from search_spaces.architecture import Architecture
from search_spaces.decisions import InvalidArchitecture, from_trial
from search_spaces.space import SearchSpace

MOST_REJECTIONS = 10_000

optuna.logging.set_verbosity(optuna.logging.WARNING)


Told = float | tuple[float, ...] | None  # one value an objective, None for a failure


@dataclass(frozen=True, slots=True)
class Proposal:
    """A valid architecture and the decisions that led to it; `token` is the controller's own."""

    architecture: Architecture
    params: Mapping[str, Any]
    distributions: Mapping[str, BaseDistribution]
    token: int


class Proposer(Protocol):
    """What a driver needs of whatever proposes; `Controller` says what each is for."""

    def propose(self, space: SearchSpace) -> Proposal: ...

    def enqueue(self, answers: Mapping[str, Any]) -> None: ...

    def tell(self, token: int, value: Told) -> None: ...

    def tell_late_failure(self, trial: FrozenTrial) -> None: ...

    def remember(self, trial: FrozenTrial, value: Told, evaluated: bool) -> int: ...

    def offer(self, trial: FrozenTrial, scores: Mapping[str, float]) -> None: ...


class Controller:
    """Any Optuna sampler, asked for architectures of a space.

    A proposal that the space refuses is told as failed and another is drawn: what is kept of a
    run are valid candidates only, and a decision costs no write to a disk.

    maximise: whether what it is told is better when higher.
    objectives: how many values it is told of a candidate.
    """

    def __init__(self, sampler: BaseSampler, maximise: bool, objectives: int = 1) -> None:
        direction = StudyDirection.MAXIMIZE if maximise else StudyDirection.MINIMIZE
        directions = [direction] * objectives
        self.sampler = sampler
        self._study = optuna.create_study(sampler=sampler, directions=directions)

    def propose(self, space: SearchSpace) -> Proposal:
        """The next architecture to try.

        Raises `BadInput` when the space refuses everything that is proposed.
        """
        reason = ""
        for _ in range(MOST_REJECTIONS):
            trial = self._ask()
            try:
                architecture = space.decide(from_trial(trial))
            except InvalidArchitecture as error:
                reason = str(error)
                self._study.tell(trial, state=TrialState.FAIL)
                continue
            return Proposal(architecture, trial.params, trial.distributions, trial.number)
        raise BadInput(
            f"space {space.name}: {MOST_REJECTIONS} proposals in a row were invalid: {reason}"
        )

    def enqueue(self, answers: Mapping[str, Any]) -> None:
        """Decide the next proposal, as far as the answers go."""
        self._study.enqueue_trial(dict(answers))

    def tell(self, token: int, value: Told) -> None:
        """What came of a proposal; None when it failed."""
        if value is None:
            self._study.tell(token, state=TrialState.FAIL)
        else:
            self._study.tell(token, value)

    def tell_late_failure(self, trial: FrozenTrial) -> None:
        """A candidate of the record that was told a value has failed after all."""
        self.tell(self._ask_again(trial), None)

    def remember(self, trial: FrozenTrial, value: Told, evaluated: bool) -> int:
        """Take in a candidate of the record; returns the token to tell it by."""
        token = self._ask_again(trial)
        if evaluated:
            self.tell(token, value)
        return token

    def offer(self, trial: FrozenTrial, scores: Mapping[str, float]) -> None:
        """Training-free scores of a candidate, for a controller that makes use of them."""
        if isinstance(self.sampler, PathSampler):
            self.sampler.offer(trial, list(scores.values()))

    def _ask_again(self, trial: FrozenTrial) -> int:
        """The same decisions as a proposal of the sampler's own; returns its token."""
        self.enqueue(trial.params)
        return self._ask(trial.distributions).number

    def _ask(self, distributions: Mapping[str, BaseDistribution] | None = None) -> Trial:
        trial = self._study.ask(fixed_distributions=dict(distributions or {}))
        _ = trial.relative_params  # Optuna's NSGA-II counts no candidate that it was not asked for
        return trial
