"""How much a search does, and what its controller is told of a candidate."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from nas.core.executor import Resources
from nas.core.job import Objective
from nas.loop.candidate import Candidate
from nas.loop.controller import Told
from nas.loop.objectives import named_objectives
from nas.loop.ranking import guiding_values, rank_sums


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is done.

    candidates: valid proposals in all, including duplicates and those that open the search.
    steps: training steps at the end of each rung.
    places: how many candidates train in each rung.
    objective: of the job.
    guide: the training-free score that the controller is told, as an objective; None if it is told
        the `objectives` instead.
    batch: candidates screened by one call; one if the controller waits for losses.
    rank_sum: scores whose ranks are added to rank candidates, with whether higher is better;
        if empty, the guide ranks them.
    objectives: names of `nas.loop.objectives.OBJECTIVES`, known after the first rung; "loss" is
        the job's objective.
    pool: candidates drawn at random and screened before anything else; they have the first numbers.
    opening: how many of them, the best by the first score, are the controller's first proposals.
    deterministic: results are taken in the order in which they were asked for.
    training: what one training call needs.
    """

    candidates: int
    steps: tuple[int, ...]
    places: tuple[int, ...]
    objective: Objective
    guide: Objective | None = None
    batch: int = 4
    rank_sum: Mapping[str, bool] = field(default_factory=dict)
    objectives: tuple[str, ...] = ("loss",)
    pool: int = 0
    opening: int = 0
    higher_scores: bool = True
    deterministic: bool = False
    training: Resources = field(default_factory=Resources)

    @property
    def records(self) -> int:
        """How many candidates the record holds at the end."""
        return self.candidates + self.pool - self.opening

    @property
    def judged_by(self) -> tuple[Objective, ...]:
        """What candidates are judged by: the guiding score, or the objectives."""
        if self.guide:
            return (self.guide,)
        return tuple(self.objective if n == "loss" else Objective(n) for n in self.objectives)

    def is_told(self, candidate: Candidate) -> bool:
        """Whether there is something to tell the controller about a candidate."""
        judged = candidate.scores if self.guide else candidate.rungs
        return bool(judged or candidate.failed)

    def judgement(self, candidate: Candidate) -> tuple[float, ...] | None:
        """The candidate's values of `judged_by`; None for a failure or an unknown value."""
        if candidate.failed or not self.is_told(candidate):
            return None
        if self.guide:
            return (next(iter(candidate.scores.values())),)
        return tuple(named_objectives(candidate, self.objectives).values())

    def value(self, candidate: Candidate) -> Told:
        """What the controller is told: the guiding score, or the objectives as costs."""
        judged = self.judgement(candidate)
        if judged is None:
            return None
        if not self.guide:
            judged = tuple(o.cost(v) for o, v in zip(self.judged_by, judged, strict=True))
        first, *others = judged
        return (first, *others) if others else first

    def ranks(self, candidates: Mapping[int, Candidate]) -> Mapping[int, float]:
        """What ranks screened candidates, lower first."""
        if self.rank_sum:
            return rank_sums(
                {n: guiding_values(c.scores, self.rank_sum) for n, c in candidates.items()}
            )
        sign = -1 if self.higher_scores else 1
        return {n: sign * next(iter(c.scores.values())) for n, c in candidates.items()}
