"""A search's plan: how many candidates, which rungs, and the values its controller receives."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from nas.core.executor import Resources
from nas.core.job import Objective
from nas.loop.candidate import Candidate
from nas.loop.constraints import Constraint, Infeasible, excesses
from nas.loop.controller import Value
from nas.loop.objectives import named_objectives
from nas.loop.ranking import guiding_values, rank_sums


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of a search.

    candidates: all valid proposals, including duplicates and those that open the search.
    steps: training steps at the end of each rung.
    places: the number of candidates that train in each rung.
    objective: the job's objective.
    guide: the training-free score that the controller optimises; None if it optimises the
        `objectives` instead.
    batch: the candidates that one call screens; one if the controller waits for losses.
    rank_sum: score → whether higher is better, for the scores whose ranks are added up to rank
        candidates; if empty, the guide ranks them.
    objectives: names from `nas.loop.objectives.OBJECTIVES`, known after the first rung; "loss" is
        the job's objective.
    constraints: limits that candidates must keep; those that miss one do not train.
    pool: candidates that are drawn at random and screened first; they have the lowest numbers.
    opening: the number of pool candidates, best by the first score, that open the search.
    deterministic: take results in the order of submission.
    training: the resources of one training call.
    """

    candidates: int
    steps: tuple[int, ...]
    places: tuple[int, ...]
    objective: Objective
    guide: Objective | None = None
    batch: int = 4
    rank_sum: Mapping[str, bool] = field(default_factory=dict)
    objectives: tuple[str, ...] = ("loss",)
    constraints: tuple[Constraint, ...] = ()
    pool: int = 0
    opening: int = 0
    higher_scores: bool = True
    deterministic: bool = False
    training: Resources = field(default_factory=Resources)

    @property
    def records(self) -> int:
        """The number of candidates in the finished record."""
        return self.candidates + self.pool - self.opening

    @property
    def judged_by(self) -> tuple[Objective, ...]:
        """The objectives that candidates are judged by: the guide, or `objectives`."""
        if self.guide:
            return (self.guide,)
        return tuple(self.objective if n == "loss" else Objective(n) for n in self.objectives)

    def excesses(self, candidate: Candidate) -> dict[str, float]:
        """Return by which share a screened candidate misses each constraint that it misses."""
        return excesses(self.constraints, candidate)

    def has_value(self, candidate: Candidate) -> bool:
        """Whether the candidate has a value or a failure for the controller."""
        return bool(self._is_judged(candidate) or candidate.failed or self.excesses(candidate))

    def judgement(self, candidate: Candidate) -> tuple[float, ...] | None:
        """Return the candidate's values of `judged_by`; None if it failed or has none yet."""
        if candidate.failed or not self._is_judged(candidate):
            return None
        if self.guide:
            return (next(iter(candidate.scores.values())),)
        return tuple(named_objectives(candidate, self.objectives).values())

    def value(self, candidate: Candidate) -> Value:
        """Return the value for the controller: the guiding score, or the objectives as costs."""
        missed = self.excesses(candidate)
        if missed and not candidate.failed:
            return Infeasible(missed)
        judged = self.judgement(candidate)
        if judged is None:
            return None
        if not self.guide:
            judged = tuple(o.cost(v) for o, v in zip(self.judged_by, judged, strict=True))
        first, *others = judged
        return (first, *others) if others else first

    def _is_judged(self, candidate: Candidate) -> bool:
        return bool(candidate.scores if self.guide else candidate.rungs)

    def ranks(self, candidates: Mapping[int, Candidate]) -> Mapping[int, float]:
        """Return the values that rank screened candidates; lower is better."""
        if self.rank_sum:
            return rank_sums(
                {n: guiding_values(c.scores, self.rank_sum) for n, c in candidates.items()}
            )
        sign = -1 if self.higher_scores else 1
        return {n: sign * next(iter(c.scores.values())) for n, c in candidates.items()}
