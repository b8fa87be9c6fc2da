"""The reward of a student: how much smaller it is, times how much of the accuracy it keeps.

Ashok et al. 2018, section 3.4 (https://arxiv.org/abs/1709.06030). They reward a student that cannot
be built with -1; we record a failure, which every controller treats as the worst result.
"""

from dataclasses import dataclass

SOFT_UPDATES = 15  # after this many, a constraint is hard


@dataclass(frozen=True, slots=True)
class Constraint:
    """The largest cost and the lowest accuracy that a student may have, as shares of the
    teacher's; None for no bound."""

    cost: float | None = None
    accuracy: float | None = None

    def is_met(self, cost: float, accuracy: float) -> bool:
        return (self.cost is None or cost <= self.cost) and (
            self.accuracy is None or accuracy >= self.accuracy
        )


def reward(cost: float, accuracy: float) -> float:
    """Return R = C(2 - C) · A / A_teacher with C = 1 - cost.

    cost, accuracy: the student's, as shares of the teacher's.

    >>> round(reward(0.1, 1.0), 4), reward(1.0, 1.0)
    (0.99, 0.0)
    """
    compression = 1 - cost
    return compression * (2 - compression) * accuracy


def constrained_reward(cost: float, accuracy: float, constraint: Constraint, update: int) -> float:
    """Return the reward, or (ε - 1) + ε R if the constraint is violated.

    ε = (1 - update / 15)^4 falls from 1 at update 0 to 0 at update 15, so early violations cost
    little.

    >>> constrained_reward(0.5, 1.0, Constraint(cost=0.1), update=0)
    0.75
    >>> constrained_reward(0.5, 1.0, Constraint(cost=0.1), update=15)
    -1.0
    """
    unconstrained = reward(cost, accuracy)
    if constraint.is_met(cost, accuracy):
        return unconstrained
    softness = max(0.0, 1 - update / SOFT_UPDATES) ** 4
    return (softness - 1) + softness * unconstrained
