"""The limits of a student, and its reward: what it keeps of the teacher, within the limits."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

UNITS = {  # by cost: the unit that users read, and how much of the cost it is
    "parameters": ("parameters", 1),
    "flops": ("MACs", 2),
    "bytes": ("MB", 1e6),
    "milliseconds": ("ms", 1),
}


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that a student may cost, and the least accuracy that it must keep.

    most: by the name of a cost, see `UNITS`.
    accuracy: as a share of the teacher's; None for any.
    """

    most: Mapping[str, float] = field(default_factory=dict)
    accuracy: float | None = None

    def excess(self, costs: Mapping[str, float], kept: float | None = None) -> float:
        """Return by which share of a limit a student breaks it, of the limit it breaks most; 0 if
        it meets all.

        kept: its share of the teacher's accuracy; None if it is not known yet.

        >>> Limits({"milliseconds": 2.0, "bytes": 1e6}).excess({"milliseconds": 2.5, "bytes": 5e5})
        0.25
        """
        over = [costs[name] / most - 1 for name, most in self.most.items()]
        if self.accuracy is not None and kept is not None:
            over.append(1 - kept / self.accuracy)
        return max(0.0, *over, 0.0)

    def are_met(self, costs: Mapping[str, float], kept: float | None = None) -> bool:
        return self.excess(costs, kept) == 0


def in_units(
    costs: Mapping[str, float],
    names: Iterable[str],
    setting: str,
    most: Mapping[str, float] | None = None,
) -> str:
    """Say some costs in the users' units; with `most`, each next to its limit.

    setting: what milliseconds are for.

    >>> in_units({"milliseconds": 1.94, "bytes": 8e5}, ("milliseconds", "bytes"), "at batch 1")
    '0.8 MB and 1.94 ms at batch 1'
    >>> in_units({"flops": 4.2e7}, ["flops"], "", {"flops": 5e7})
    '21,000,000 of 25,000,000 MACs'
    """
    parts = []
    for name in sorted(names, key=list(UNITS).index):
        unit, size = UNITS[name]
        of = f"{_number(costs[name] / size)}{f' of {_number(most[name] / size)}' if most else ''}"
        parts.append(f"{of} {unit}" + (f" {setting}" if setting and name == "milliseconds" else ""))
    return " and ".join(parts)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def reward(cost: float, accuracy: float) -> float:
    """Return R = C(2 - C) · A / A_teacher with C = 1 - cost.

    cost, accuracy: the student's, as shares of the teacher's.
    Ashok et al. 2018, section 3.4 (https://arxiv.org/abs/1709.06030).

    >>> round(reward(0.1, 1.0), 4), reward(1.0, 1.0)
    (0.99, 0.0)
    """
    compression = 1 - cost
    return compression * (2 - compression) * accuracy


def limited_reward(
    cost: float, accuracy: float, limits: Limits, costs: Mapping[str, float], kept: float | None
) -> float:
    """Return the reward of a student under limits.

    Without limits on costs it is that of `reward`. With them it is the accuracy alone: the limits
    say what is small enough. A student that breaks a limit by the share e gets -e / (1 + e), less
    than any that meets all; N2N's soft constraints (section 3.4) let early ones get more.

    costs, kept: see `Limits.excess`.

    >>> limited_reward(0.5, 0.9, Limits({"bytes": 10.0}), {"bytes": 10.0}, None)
    0.9
    >>> limited_reward(0.5, 0.9, Limits({"bytes": 10.0}), {"bytes": 20.0}, None)
    -0.5
    """
    excess = limits.excess(costs, kept)
    if excess > 0:
        return -excess / (1 + excess)
    return accuracy if limits.most else reward(cost, accuracy)
