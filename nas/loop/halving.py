"""Successive halving: which candidates are certain to advance to the next stage."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from heapq import heappop, heappush


@dataclass(slots=True)
class _Stage:
    """The candidates that compete for the places of one rung.

    step: the rung's last step.
    values: of the candidates that have not failed; lower is better.
    waiting: a heap of (value, number) of those that have not advanced to the rung.
    advanced: those that have, and have not failed. finished: how many of them finished the rung.
    """

    step: int
    places: int
    values: dict[int, float] = field(default_factory=dict)
    waiting: list[tuple[float, int]] = field(default_factory=list)
    advanced: set[int] = field(default_factory=set)
    finished: int = 0


class Rungs:
    """Tells which candidates enter which rung, and when.

    A candidate advances once it would keep its place even if all unfinished ones were better.
    So stages overlap (as in ASHA, Li et al. 2020, https://arxiv.org/abs/1810.05934), but the
    selection does not depend on the order in which candidates finish. Every event takes
    logarithmic time.

    rungs: each rung's last step and number of places.

    >>> rungs = Rungs([(10, 2)])
    >>> for number, value in enumerate([0.3, 0.1, 0.2]): rungs.enter(number, value)
    >>> rungs.due(unfinished=1), rungs.due(unfinished=0)
    ([(1, 10)], [(2, 10)])
    """

    def __init__(self, rungs: Iterable[tuple[int, int]]) -> None:
        self._stages = [_Stage(step, places) for step, places in rungs]
        self._after = {stage.step: i + 1 for i, stage in enumerate(self._stages)}
        self._stages.append(_Stage(0, 0))  # those that finished the last rung; none advances

    def enter(self, number: int, value: float) -> None:
        """Add a candidate to those that compete for the first rung; a lower value is better."""
        self._compete(self._stages[0], number, value)

    def finish(self, number: int, step: int, value: float) -> None:
        """Add a candidate that has finished the rung of this step to those after it."""
        place = self._after[step]
        before, stage = self._stages[place - 1], self._stages[place]
        if number not in stage.values and number in before.advanced:
            before.finished += 1
        self._compete(stage, number, value)

    def fail(self, number: int) -> None:
        """Remove a candidate everywhere, so that the next ones take its places."""
        for stage, after in zip(self._stages, self._stages[1:], strict=False):
            if number in stage.advanced:
                stage.advanced.remove(number)
                stage.finished -= number in after.values
        for stage in self._stages:
            stage.values.pop(number, None)

    def due(self, unfinished: int) -> list[tuple[int, int]]:
        """Return (candidate, step) for those that are newly certain to enter a rung.

        unfinished: the candidates that may still compete for the first rung.
        """
        found = []
        for stage, after in zip(self._stages, self._stages[1:], strict=False):
            while stage.waiting and len(stage.advanced) < stage.places - unfinished:
                _, number = heappop(stage.waiting)
                if number not in stage.values:
                    continue  # it failed
                stage.advanced.add(number)
                if number in after.values:
                    stage.finished += 1
                else:
                    found.append((number, stage.step))
            unfinished = min(stage.places, len(stage.values) + unfinished) - stage.finished
        return found

    def _compete(self, stage: _Stage, number: int, value: float) -> None:
        if number not in stage.values:
            stage.values[number] = value
            heappush(stage.waiting, (value, number))


def halved(first: int, stages: int, reduction: int) -> tuple[int, ...]:
    """Return the places per stage: `first`, then `reduction` times fewer each, at least one."""
    return tuple(max(1, first // reduction**i) for i in range(stages))
