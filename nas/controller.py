"""The controller's study: in memory, with every proposal and what the controller was told of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from nas.errors import BadInput
from search_spaces.architecture import Architecture
from search_spaces.decisions import InvalidArchitecture, from_trial
from search_spaces.space import SearchSpace

MOST_REJECTIONS = 10_000

optuna.logging.set_verbosity(optuna.logging.WARNING)


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

    def tell(self, token: int, value: float | None) -> None: ...

    def tell_late_failure(self, trial: FrozenTrial) -> None: ...

    def remember(self, trial: FrozenTrial, value: float | None, evaluated: bool) -> int: ...


class Controller:
    """Any Optuna sampler, asked for architectures of a space.

    A proposal that the space refuses is told as failed and another is drawn: what is kept of a
    run are valid candidates only, and a decision costs no write to a disk.

    maximise: whether what it is told is better when higher.
    """

    def __init__(self, sampler: BaseSampler, maximise: bool) -> None:
        direction = "maximize" if maximise else "minimize"
        self._study = optuna.create_study(sampler=sampler, direction=direction)

    def propose(self, space: SearchSpace) -> Proposal:
        """The next architecture to try.

        Raises `BadInput` when the space refuses everything that is proposed.
        """
        reason = ""
        for _ in range(MOST_REJECTIONS):
            trial = self._study.ask()
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

    def tell(self, token: int, value: float | None) -> None:
        """What came of a proposal; None when it failed."""
        if value is None:
            self._study.tell(token, state=TrialState.FAIL)
        else:
            self._study.tell(token, value)

    def tell_late_failure(self, trial: FrozenTrial) -> None:
        """A candidate of the record that was told a value has failed after all."""
        self._study.enqueue_trial(trial.params)
        again = self._study.ask(fixed_distributions=trial.distributions)
        self._study.tell(again, state=TrialState.FAIL)

    def remember(self, trial: FrozenTrial, value: float | None, evaluated: bool) -> int:
        """Take in a candidate of the record; returns the token to tell it by."""
        state = TrialState.RUNNING
        if evaluated:
            state = TrialState.FAIL if value is None else TrialState.COMPLETE
        self._study.add_trial(
            create_trial(
                state=state,
                value=value if evaluated else None,
                params=trial.params,
                distributions=trial.distributions,
            )
        )
        return len(self._study.get_trials(deepcopy=False)) - 1
