"""What a controller can be told of a trained candidate; lower is better of all of it."""

from collections.abc import Callable, Sequence

from nas.loop.candidate import Candidate

OBJECTIVES: dict[str, Callable[[Candidate], float]] = {
    "loss": lambda candidate: candidate.rungs[0].loss,
    "parameters": lambda candidate: float(candidate.parameters or 0),
    "flops": lambda candidate: float(candidate.flops or 0),
    "latency": lambda candidate: candidate.scores["latency"],
}


def named_objectives(candidate: Candidate, names: Sequence[str]) -> dict[str, float]:
    """The named objectives of a candidate that has been through the first rung."""
    return {name: OBJECTIVES[name](candidate) for name in names}


def pareto_front(candidates: Sequence[Candidate], names: Sequence[str]) -> list[Candidate]:
    """The trained candidates that none is better than in all objectives, by the first of them.

    A candidate is left out when another one is at least as good in each objective and better in
    one; so are duplicates.
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
