"""Constraints on candidates, such as `parameters<=2e6`, which decide before anything is trained."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from nas.loop.candidate import Candidate
from nas.loop.objectives import OBJECTIVES

SIZES = tuple(name for name in OBJECTIVES if name != "loss")  # known after screening
TIMES = ("latency", "step_latency")  # in seconds
SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6}
WRITTEN = re.compile(r"\s*([\w.-]+?)\s*(<=|>=)\s*([0-9.eE+-]+)\s*(s|ms|us|µs)?\s*")


@dataclass(frozen=True, slots=True)
class Infeasible:
    """The value of a candidate that misses constraints.

    excesses: by how much it misses each, as a share of the limit, by the constraint's text.
    """

    excesses: Mapping[str, float]

    @property
    def share(self) -> float:
        """The sum of the excesses, scaled to less than 1."""
        total = sum(self.excesses.values())
        return total / (1 + total) if math.isfinite(total) else 1.0


@dataclass(frozen=True, slots=True)
class Constraint:
    """A limit on a number that screening measures: a size, a time in seconds, or a score."""

    text: str
    name: str
    is_upper: bool
    limit: float

    def excess(self, candidate: Candidate) -> float:
        """Return by which share of the limit a screened candidate misses it; at most 0 if not."""
        value = OBJECTIVES.get(self.name, partial(_score, self.name))(candidate)
        difference = value - self.limit if self.is_upper else self.limit - value
        return difference / (abs(self.limit) or 1.0)


def read_constraint(text: str) -> Constraint:
    """Read a constraint: a name, `<=` or `>=`, and a number; times also in ms or us.

    Raises `ValueError`.

    >>> read_constraint("latency<=2ms")
    Constraint(text='latency<=2ms', name='latency', is_upper=True, limit=0.002)
    """
    found = WRITTEN.fullmatch(text)
    if found is None:
        raise ValueError(f'"{text}" is not a constraint: write it as in parameters<=2e6')
    name, sign, number, unit = found.groups()
    try:
        limit = float(number) * SECONDS.get(unit, 1.0)
    except ValueError:
        raise ValueError(f'"{text}": {number} is not a number') from None
    if unit and name not in TIMES:
        raise ValueError(f'"{text}": only {" and ".join(TIMES)} have a unit: leave out {unit}')
    return Constraint(text.strip(), name, sign == "<=", limit)


def excesses(constraints: Sequence[Constraint], candidate: Candidate) -> dict[str, float]:
    """Return by how much a screened candidate misses each constraint that it misses."""
    if not constraints or candidate.parameters is None:
        return {}
    found = {constraint.text: constraint.excess(candidate) for constraint in constraints}
    return {text: excess for text, excess in found.items() if excess > 0}


def _score(name: str, candidate: Candidate) -> float:
    """Return the score of a name, or the first of several that begin with it."""
    own = [v for key, v in candidate.scores.items() if key == name or key.startswith(f"{name}-")]
    return own[0] if own else math.nan
