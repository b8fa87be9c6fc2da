"""The objectives that a controller can optimise."""

from collections.abc import Callable, Sequence

from nas.loop.candidate import Candidate

OBJECTIVES: dict[str, Callable[[Candidate], float]] = {
    "loss": lambda candidate: candidate.rungs[0].objective,
    "parameters": lambda candidate: float(candidate.parameters or 0),
    "flops": lambda candidate: float(candidate.flops or 0),
    "latency": lambda candidate: candidate.scores["latency"],
    "state_bytes": lambda candidate: candidate.measures["state_bytes"],
    "step_latency": lambda candidate: candidate.measures["step_latency"],
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
        (tuple(named_objectives(candidate, names).values()), candidate.number, candidate)
        for candidate in candidates
        if candidate.rungs and candidate.failed is None and candidate.duplicate_of is None
    ]
    front: list[tuple[tuple[float, ...], Candidate]] = []
    for values, _, candidate in sorted(known, key=lambda entry: entry[:2]):
        # whatever dominates a candidate comes before it
        if not any(_dominates(others, values) for others, _ in front):
            front.append((values, candidate))
    return [candidate for _, candidate in front]


def _dominates(a: Sequence[float], b: Sequence[float]) -> bool:
    return a != b and all(x <= y for x, y in zip(a, b, strict=True))
