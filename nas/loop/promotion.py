"""Which candidates of a search train next, and up to which step."""

from collections.abc import Collection, Iterator, Mapping

from nas.loop.candidate import Candidate
from nas.loop.halving import climbing
from nas.loop.plan import Plan


def due_to_train(
    plan: Plan, candidates: Mapping[int, Candidate], unfinished: int
) -> Iterator[tuple[int, int]]:
    """Candidates that are sure of a place in a rung and not yet in it, with the rung's step.

    candidates: those that may train, by number.
    unfinished: how many proposals are still to be made or screened.
    """
    if unfinished and plan.guide and plan.rank_sum:
        return  # a newcomer may reverse the order of two sums of ranks
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
    """The best screened candidates of a pool, which open a search, and all that were ranked."""
    screened = {c.number: c for c in pool if c.scores and c.duplicate_of is None}
    ranks = plan.ranks(screened)
    best = sorted(ranks, key=lambda number: (ranks[number], number))
    return best[: plan.opening], set(screened)


def _ranks(plan: Plan, candidates: Mapping[int, Candidate]) -> Mapping[int, float]:
    """What ranks those that may train, lower first; equal for all that wait for losses.

    Those that failed in training keep theirs, or the others' would depend on when they failed.
    """
    ranked = {
        n: candidate
        for n, candidate in candidates.items()
        if candidate.parameters is not None and candidate.duplicate_of is None
    }
    return plan.ranks(ranked) if plan.guide else dict.fromkeys(ranked, 0.0)


def _is_alive(candidate: Candidate) -> bool:
    return candidate.failed is None and candidate.duplicate_of is None
