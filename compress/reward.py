"""What a student is worth: how much smaller it is, times how much of the accuracy it keeps.

Ashok et al. 2018, section 3.4 (https://arxiv.org/abs/1709.06030). Where they give -1 to a student
that cannot be built, ours fails, which every controller takes for the worst there is.
"""

from dataclasses import dataclass

SOFT_UPDATES = 15  # until a constraint is hard


@dataclass(frozen=True, slots=True)
class Constraint:
    """The largest share of the teacher's cost, and the least of its accuracy, that a student may
    have; None where there is no bound."""

    cost: float | None = None
    accuracy: float | None = None

    def is_met(self, cost: float, accuracy: float) -> bool:
        return (self.cost is None or cost <= self.cost) and (
            self.accuracy is None or accuracy >= self.accuracy
        )


def reward(cost: float, accuracy: float) -> float:
    """R = C(2 - C) · A / A_teacher with C = 1 - cost.

    cost, accuracy: of the student, as shares of the teacher's.

    >>> round(reward(0.1, 1.0), 4), reward(1.0, 1.0)
    (0.99, 0.0)
    """
    compression = 1 - cost
    return compression * (2 - compression) * accuracy


def constrained_reward(cost: float, accuracy: float, constraint: Constraint, update: int) -> float:
    """The reward, and (ε - 1) + ε R where the constraint is violated; ε falls from 1 at the first
    update to 0 at the 15th, ε = (1 - update / 15)^4, so that the policy can find its way.

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
