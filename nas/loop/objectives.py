"""The objectives that a controller can optimise."""

from collections.abc import Callable, Sequence

from nas.loop.candidate import Candidate

OBJECTIVES: dict[str, Callable[[Candidate], float]] = {
    "loss": lambda candidate: candidate.rungs[0].objective,
    "parameters": lambda candidate: float(candidate.parameters or 0),
    "flops": lambda candidate: float(candidate.flops or 0),
    "latency": lambda candidate: candidate.scores["latency"],
}


def named_objectives(candidate: Candidate, names: Sequence[str]) -> dict[str, float]:
    """Return the named objectives of a candidate that has finished the first rung."""
    return {name: OBJECTIVES[name](candidate) for name in names}


def pareto_front(candidates: Sequence[Candidate], names: Sequence[str]) -> list[Candidate]:
    """Return the trained candidates that no other dominates, sorted by the first objective.

    Lower is better. One candidate dominates another if it is at least as good in every objective
    and better in one. Duplicates are left out.
    """
    known = [
        (tuple(named_objectives(candidate, names).values()), candidate)
        for candidate in candidates
        if candidate.rungs and candidate.failed is None and candidate.duplicate_of is None
    ]
    front = [
        (values, candidate)
        for values, candidate in known
        if not any(_dominates(others, values) for others, _ in known)
    ]
    return [c for _, c in sorted(front, key=lambda entry: (entry[0], entry[1].number))]


def _dominates(a: Sequence[float], b: Sequence[float]) -> bool:
    return a != b and all(x <= y for x, y in zip(a, b, strict=True))
