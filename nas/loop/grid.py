"""A proposer that tries every architecture of a small space once."""

from collections.abc import Mapping
from typing import Any

from optuna.trial import FixedTrial, FrozenTrial

from nas.core.errors import BadInput
from nas.loop.controller import Proposal, Value
from search_spaces.architecture import Architecture
from search_spaces.decisions import Answers, enumerated, from_trial
from search_spaces.space import SearchSpace


class Grid:
    """Proposes every architecture of a space once, in the order of its decisions.

    It does not propose recorded architectures again, so a resumed grid becomes complete.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._left: dict[str, tuple[Architecture, Answers]] = {
            architecture.digest(): (architecture, dict(answers))
            for architecture, answers in enumerated(space.decide)
        }
        self.size = len(self._left)
        self._proposed = 0

    def propose(self, space: SearchSpace) -> Proposal:
        """Return the next architecture; raises `BadInput` if none is left."""
        if not self._left:
            raise BadInput(
                f"all {self.size} architectures of {space.name} have been proposed: "
                "ask for fewer candidates"
            )
        architecture, answers = self._left.pop(next(iter(self._left)))
        params: dict[str, Any] = dict(answers)
        trial = FixedTrial(params)
        space.decide(from_trial(trial))
        return Proposal(architecture, params, trial.distributions, self._token())

    def enqueue(self, answers: Mapping[str, Any]) -> None:
        """Do nothing: the order is fixed."""

    def tell(self, token: int, value: Value) -> None:
        """Do nothing: a grid does not learn."""

    def tell_late_failure(self, trial: FrozenTrial) -> None:
        """Do nothing: a grid does not learn."""

    def offer(self, trial: FrozenTrial, scores: Mapping[str, float]) -> None:
        """Do nothing: a grid does not learn."""

    def remember(self, trial: FrozenTrial, value: Value, evaluated: bool) -> int:
        self._left.pop(trial.user_attrs["digest"], None)
        return self._token()

    def _token(self) -> int:
        self._proposed += 1
        return self._proposed
