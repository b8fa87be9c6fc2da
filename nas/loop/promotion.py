"""Chooses which candidates of a search train next, and until which step."""

from collections.abc import Collection, Iterator, Mapping

from nas.loop.candidate import Candidate
from nas.loop.halving import climbing
from nas.loop.plan import Plan


def due_to_train(
    plan: Plan, candidates: Mapping[int, Candidate], unfinished: int
) -> Iterator[tuple[int, int]]:
    """Yield (candidate, step) for those that are certain to enter a rung but have not finished it.

    candidates: those that may train, by number.
    unfinished: the number of proposals that are still to be made or screened.
    """
    if unfinished and plan.guide and plan.rank_sum:
        return  # another candidate could swap the order of two rank sums
    ranks = _ranks(plan, candidates)
    alive = {n: rank for n, rank in ranks.items() if _is_alive(candidates[n])}

    def costs_at(step: int) -> dict[int, float]:
        return {
            n: plan.objective.cost(rung.objective)
            for n, candidate in candidates.items()
            if _is_alive(candidate)
            for rung in candidate.rungs
            if rung.step == step
        }

    yield from climbing(alive, costs_at, unfinished, zip(plan.steps, plan.places, strict=True))


def best_of_pool(plan: Plan, pool: Collection[Candidate]) -> tuple[list[int], set[int]]:
    """Return the best screened candidates of a pool, and the set of all that were ranked."""
    screened = {c.number: c for c in pool if c.scores and c.duplicate_of is None}
    ranks = plan.ranks(screened)
    best = sorted(ranks, key=lambda number: (ranks[number], number))
    return best[: plan.opening], set(screened)


def _ranks(plan: Plan, candidates: Mapping[int, Candidate]) -> Mapping[int, float]:
    """Return ranks of the candidates that may train, lower first; all equal without a guide.

    Candidates that failed in training keep their ranks, so the others' ranks do not depend on
    when the failures happened.
    """
    ranked = {
        n: candidate
        for n, candidate in candidates.items()
        if candidate.parameters is not None and candidate.duplicate_of is None
    }
    return plan.ranks(ranked) if plan.guide else dict.fromkeys(ranked, 0.0)


def _is_alive(candidate: Candidate) -> bool:
    return candidate.failed is None and candidate.duplicate_of is None
