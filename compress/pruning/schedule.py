"""Schedules: how sparsity grows over the cycles of pruning and training."""

from collections.abc import Callable

Schedule = Callable[[float, int], tuple[float, ...]]  # (last level, cycles) -> level of each cycle


def one_shot(level: float, cycles: int) -> tuple[float, ...]:
    """Reach the level in a single cycle; raises `ValueError` for more than one cycle.

    >>> one_shot(0.9, 1)
    (0.9,)
    """
    if cycles != 1:
        raise ValueError(f"one-shot pruning has 1 cycle, not {cycles}: use iterative or cubic")
    return (level,)


def iterative(level: float, cycles: int) -> tuple[float, ...]:
    """Remove the same share of what is left in every cycle (Frankle and Carbin 2019, section 1).

    >>> [round(share, 3) for share in iterative(0.488, 3)]
    [0.2, 0.36, 0.488]
    """
    return tuple(1 - (1 - level) ** (cycle / cycles) for cycle in range(1, cycles + 1))


def cubic(level: float, cycles: int) -> tuple[float, ...]:
    """Remove much in the first cycles and little in the last ones.

    Zhu and Gupta 2017, https://arxiv.org/abs/1710.01878, eq. 1.

    >>> cubic(0.5, 2)
    (0.4375, 0.5)
    """
    return tuple(level - level * (1 - cycle / cycles) ** 3 for cycle in range(1, cycles + 1))


SCHEDULES: dict[str, Schedule] = {"one-shot": one_shot, "iterative": iterative, "cubic": cubic}
