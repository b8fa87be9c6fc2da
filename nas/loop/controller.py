"""Controllers: an Optuna sampler with an in-memory study of its proposals and their values."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState

from nas.core.errors import BadInput
from nas.loop.constraints import Infeasible
from nas.loop.priors import PriorSampler
from policies.path_sampler import PathSampler
from search_spaces.architecture import Architecture
from search_spaces.decisions import InvalidArchitecture, from_trial
from search_spaces.space import SearchSpace

MOST_REJECTIONS = 10_000

optuna.logging.set_verbosity(optuna.logging.WARNING)


# one value per objective; None for a failure
Value = float | tuple[float, ...] | Infeasible | None
Seed = int | tuple[int, ...]
PENALTY = 1e9  # cost of a candidate that just misses a constraint; none costs more than twice this


@dataclass(frozen=True, slots=True)
class Proposal:
    """A valid architecture and its decisions; `token` identifies it to the controller."""

    architecture: Architecture
    params: Mapping[str, Any]
    distributions: Mapping[str, BaseDistribution]
    token: int


class Proposer(Protocol):
    """Proposes architectures to a driver. `Controller` documents the methods."""

    def propose(self, space: SearchSpace) -> Proposal: ...

    def enqueue(self, answers: Mapping[str, Any]) -> None: ...

    def tell(self, token: int, value: Value) -> None: ...

    def tell_late_failure(self, trial: FrozenTrial) -> None: ...

    def remember(self, trial: FrozenTrial, value: Value, evaluated: bool) -> int: ...

    def offer(self, trial: FrozenTrial, scores: Mapping[str, float]) -> None: ...


class Controller:
    """Proposes architectures of a space with any Optuna sampler.

    A proposal that the space refuses is reported to the sampler as failed, and another one is
    drawn. So a run records only valid candidates, and decisions cost no disk writes.

    If questions of the space have priors, some proposals follow them: see `PriorSampler`. Optuna's
    samplers receive violated constraints as such. For every controller, a candidate that violates
    some is worse than all that do not, and the worse the more it violates (Deb 2000, section 3,
    https://doi.org/10.1016/S0045-7825(99)00389-8).

    maximise: whether higher values are better.
    objectives: the number of values per candidate.
    seed: seeds the proposals that follow priors.
    """

    def __init__(
        self, sampler: BaseSampler, maximise: bool, objectives: int = 1, seed: Seed = 0
    ) -> None:
        direction = StudyDirection.MAXIMIZE if maximise else StudyDirection.MINIMIZE
        directions = [direction] * objectives
        self.sampler = sampler
        self._sign = -1 if maximise else 1
        self._priors = PriorSampler(sampler, seed)
        self._is_new = True
        self._asked: dict[int, Trial] = {}  # without a result
        self._study = optuna.create_study(sampler=self._priors, directions=directions)

    def propose(self, space: SearchSpace) -> Proposal:
        """Return the next architecture to try.

        Raises `BadInput` if the space refuses every proposal.
        """
        reason = ""
        if self._is_new:
            self._is_new = False
            self._priors.look_at(space)
        for _ in range(MOST_REJECTIONS):
            trial = self._ask()
            try:
                architecture = space.decide(from_trial(trial, self._priors.priors))
            except InvalidArchitecture as error:
                reason = str(error)
                self._study.tell(self._asked.pop(trial.number), state=TrialState.FAIL)
                continue
            self._priors.is_open = True
            return Proposal(architecture, trial.params, trial.distributions, trial.number)
        raise BadInput(
            f"space {space.name} refused {MOST_REJECTIONS} proposals in a row; the last reason: "
            f"{reason}"
        )

    def enqueue(self, answers: Mapping[str, Any]) -> None:
        """Fix decisions of the next proposal, by name."""
        self._study.enqueue_trial(dict(answers))

    def tell(self, token: int, value: Value) -> None:
        """Report the value of a proposal; None if it failed."""
        trial = self._asked.pop(token)
        if isinstance(value, Infeasible):
            for name, excess in value.excesses.items():
                trial.set_constraint(name, excess)
        values = self._values(value)
        self._priors.learn(trial, self._costs(values))
        if values is None:
            self._study.tell(trial, state=TrialState.FAIL)
        else:
            self._study.tell(trial, values)

    def tell_late_failure(self, trial: FrozenTrial) -> None:
        """Report that a candidate failed after its value had been reported."""
        self.tell(self._ask_again(trial), None)

    def remember(self, trial: FrozenTrial, value: Value, evaluated: bool) -> int:
        """Add a recorded candidate, with its value if `evaluated`; returns its token."""
        if evaluated and isinstance(self.sampler, PathSampler):
            values = self._values(value)
            self.sampler.remember(self._study, trial, values)
            self._priors.learn(trial, self._costs(values))
            return trial.number  # no result of it will come
        token = self._ask_again(trial)
        if evaluated:
            self.tell(token, value)
        return token

    def offer(self, trial: FrozenTrial, scores: Mapping[str, float]) -> None:
        """Pass a candidate's training-free scores to a controller that uses them."""
        if isinstance(self.sampler, PathSampler):
            self.sampler.offer(trial, list(scores.values()))

    def _values(self, value: Value) -> list[float] | None:
        """Return the values as the study has them; an infeasible candidate has the worst."""
        if isinstance(value, Infeasible):
            worst = self._sign * PENALTY * (1 + value.share)
            return [worst] * len(self._study.directions)
        if value is None:
            return None
        return list(value) if isinstance(value, tuple) else [value]

    def _costs(self, values: list[float] | None) -> list[float] | None:
        return None if values is None else [self._sign * value for value in values]

    def _ask_again(self, trial: FrozenTrial) -> int:
        """Make the sampler propose a trial's decisions again; returns the new token."""
        self.enqueue(trial.params)
        return self._ask(trial.distributions).number

    def _ask(self, distributions: Mapping[str, BaseDistribution] | None = None) -> Trial:
        trial = self._study.ask(fixed_distributions=dict(distributions or {}))
        _ = trial.relative_params  # otherwise Optuna's NSGA-II does not count the trial
        self._asked[trial.number] = trial
        return trial
