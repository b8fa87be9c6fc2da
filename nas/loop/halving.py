"""Successive halving: which candidates are certain to advance to the next stage."""

from collections.abc import Callable, Iterable, Iterator, Mapping


def promoted(values: Mapping[int, float], unfinished: int, places: int) -> list[int]:
    """Return the candidates that are certain to be among the best `places` of a stage.

    values: the finished candidates' values by number; lower is better.
    unfinished: the number of candidates that have not yet finished the stage or failed in it.

    A candidate advances once it would keep its place even if all unfinished ones were better.
    So stages overlap (as in ASHA, Li et al. 2020, https://arxiv.org/abs/1810.05934), but the
    selection does not depend on the order in which candidates finish.
    """
    ranked = sorted(values, key=lambda number: (values[number], number))
    return ranked[: max(0, places - unfinished)]


def climbing(
    values: Mapping[int, float],
    losses_at: Callable[[int], Mapping[int, float]],
    unfinished: int,
    rungs: Iterable[tuple[int, int]],
) -> Iterator[tuple[int, int]]:
    """Yield (candidate, step) for those that are certain to enter a rung but have not finished it.

    values, unfinished: as in `promoted`, for the stage before the first rung.
    losses_at: returns the losses of the candidates that have trained until a step.
    rungs: each rung's last step and number of places.
    """
    for step, places in rungs:
        going = promoted(values, unfinished, places)
        attainable = min(places, len(values) + unfinished)
        losses = losses_at(step)
        yield from ((number, step) for number in going if number not in losses)
        unfinished = attainable - sum(number in losses for number in going)
        values = losses


def halved(first: int, stages: int, reduction: int) -> tuple[int, ...]:
    """Return the places per stage: `first`, then `reduction` times fewer each, at least one."""
    return tuple(max(1, first // reduction**i) for i in range(stages))
