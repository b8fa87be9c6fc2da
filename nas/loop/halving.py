"""Successive halving: which candidates go on to the next stage, once it is certain."""

from collections.abc import Callable, Iterable, Iterator, Mapping


def promoted(values: Mapping[int, float], unfinished: int, places: int) -> list[int]:
    """The candidates that are sure to be among the best `places` of a stage.

    values: of the finished candidates by number; lower is better.
    unfinished: how many candidates will still finish the stage, or fail in it.

    A candidate goes on once it would keep its place even if all unfinished ones were better.
    So stages overlap (as in ASHA, Li et al. 2020, https://arxiv.org/abs/1810.05934), yet who goes
    on does not depend on who finished first.
    """
    ranked = sorted(values, key=lambda number: (values[number], number))
    return ranked[: max(0, places - unfinished)]


def climbing(
    values: Mapping[int, float],
    losses_at: Callable[[int], Mapping[int, float]],
    unfinished: int,
    rungs: Iterable[tuple[int, int]],
) -> Iterator[tuple[int, int]]:
    """The candidates that are sure of a place in a rung and not yet there, with its step.

    values, unfinished: as in `promoted`, of the stage before the first rung.
    losses_at: of a step: the losses of those that have trained up to it.
    rungs: of each the step at its end and its places.
    """
    for step, places in rungs:
        going = promoted(values, unfinished, places)
        attainable = min(places, len(values) + unfinished)
        losses = losses_at(step)
        yield from ((number, step) for number in going if number not in losses)
        unfinished = attainable - sum(number in losses for number in going)
        values = losses


def halved(first: int, stages: int, reduction: int) -> tuple[int, ...]:
    """Places in each of several stages: `first`, then `reduction` times fewer, at least one."""
    return tuple(max(1, first // reduction**i) for i in range(stages))
