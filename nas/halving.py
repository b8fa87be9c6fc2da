"""Successive halving: which candidates go on to the next stage, once it is certain."""

from collections.abc import Mapping


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


def halved(first: int, stages: int, reduction: int) -> tuple[int, ...]:
    """Places in each of several stages: `first`, then `reduction` times fewer, at least one."""
    return tuple(max(1, first // reduction**i) for i in range(stages))
