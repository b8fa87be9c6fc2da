"""Chooses which candidates of a search train next, and until which step."""

from collections.abc import Collection

from nas.loop.candidate import Candidate
from nas.loop.halving import Rungs
from nas.loop.plan import Plan


class Promotion:
    """Receives every result of the candidates that may train, and tells which train next."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._rungs = Rungs(zip(plan.steps, plan.places, strict=True))
        self._seen: dict[int, Candidate] = {}  # their latest results
        self._ranks_at_the_end = bool(plan.guide and plan.rank_sum)

    def update(self, candidate: Candidate) -> None:
        """Receive a result; duplicates and candidates that miss a constraint do not train."""
        if candidate.parameters is None or candidate.duplicate_of is not None:
            return
        if self._plan.excesses(candidate):
            return
        is_new = candidate.number not in self._seen
        self._seen[candidate.number] = candidate
        if self._ranks_at_the_end:
            return
        if is_new:
            value = self._plan.ranks({candidate.number: candidate}) if self._plan.guide else {}
            self._rungs.enter(candidate.number, value.get(candidate.number, 0.0))
        self._climb(candidate)

    def due(self, unfinished: int) -> list[tuple[int, int]]:
        """Return (candidate, step) for those that are newly certain to enter a rung.

        unfinished: the number of proposals that are still to be made or screened.
        """
        if self._ranks_at_the_end:
            if unfinished:
                return []  # another candidate could swap the order of two rank sums
            self._ranks_at_the_end = False
            # Those that failed in training keep their ranks, so the others' ranks do not depend on
            # when the failures happened.
            for number, rank in self._plan.ranks(self._seen).items():
                self._rungs.enter(number, rank)
                self._climb(self._seen[number])
        return self._rungs.due(unfinished)

    def _climb(self, candidate: Candidate) -> None:
        for rung in candidate.rungs:
            cost = self._plan.objective.cost(rung.objective)
            self._rungs.finish(candidate.number, rung.step, cost)
        if candidate.failed:
            self._rungs.fail(candidate.number)


def best_of_pool(plan: Plan, pool: Collection[Candidate]) -> tuple[list[int], set[int]]:
    """Return the best screened candidates of a pool, and the set of all that were ranked."""
    screened = {
        c.number: c for c in pool if c.scores and c.duplicate_of is None and not plan.excesses(c)
    }
    ranks = plan.ranks(screened)
    best = sorted(ranks, key=lambda number: (ranks[number], number))
    return best[: plan.opening], set(screened)
