"""How much a search does, and what its controller is told of a candidate."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from nas.core.executor import Resources
from nas.loop.candidate import Candidate
from nas.loop.controller import Told
from nas.loop.objectives import named_objectives
from nas.loop.ranking import guiding_values, rank_sums


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is done.

    candidates: valid proposals in all, duplicates included; those that open the search count.
    steps: training steps at the end of each rung.
    places: how many candidates train in each rung.
    batch: candidates screened by one call; one where the controller waits for losses.
    scored: the controller is told the first training-free score; else the objectives.
    higher_is_better: of that score.
    rank_sum: scores whose ranks are added to rank candidates, with whether higher is better;
        none: the first score ranks them.
    objectives: names of `nas.loop.objectives.OBJECTIVES`, known after the first rung.
    pool: candidates drawn at random and screened before anything else; they have the first numbers.
    opening: how many of them, the best by the first score, are the controller's first proposals.
    deterministic: results are taken in the order in which they were asked for.
    training: what one training call needs.
    """

    candidates: int
    steps: tuple[int, ...]
    places: tuple[int, ...]
    batch: int = 4
    scored: bool = True
    higher_is_better: bool = True
    rank_sum: Mapping[str, bool] = field(default_factory=dict)
    objectives: tuple[str, ...] = ("loss",)
    pool: int = 0
    opening: int = 0
    deterministic: bool = False
    training: Resources = field(default_factory=Resources)

    @property
    def records(self) -> int:
        """How many candidates the record holds at the end."""
        return self.candidates + self.pool - self.opening

    def is_told(self, candidate: Candidate) -> bool:
        """Whether there is something to tell the controller of a candidate."""
        told = candidate.scores if self.scored else candidate.rungs
        return bool(told or candidate.failed)

    def value(self, candidate: Candidate) -> Told:
        """What the controller is told; None for a failure or while nothing is known."""
        if candidate.failed or not self.is_told(candidate):
            return None
        if self.scored:
            return next(iter(candidate.scores.values()))
        first, *others = named_objectives(candidate, self.objectives).values()
        return (first, *others) if others else first

    def ranks(self, candidates: Mapping[int, Candidate]) -> Mapping[int, float]:
        """What ranks screened candidates, lower first."""
        if self.rank_sum:
            return rank_sums(
                {n: guiding_values(c.scores, self.rank_sum) for n, c in candidates.items()}
            )
        sign = -1 if self.higher_is_better else 1
        return {n: sign * next(iter(c.scores.values())) for n, c in candidates.items()}
