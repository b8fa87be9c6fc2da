"""Structured masks: n of every m neighbours, or whole blocks."""

import torch
from torch import Tensor
from torch.nn import functional


def in_pattern(scores: Tensor, level: float, pattern: tuple[int, ...]) -> Tensor:
    """Return the mask `[rows, columns]` that removes the share `level` in a pattern."""
    match pattern:
        case (neighbours,):
            return n_of_m(scores, neighbours - round(level * neighbours), neighbours)
        case (height, width):
            return blocks(scores, level, height, width)
    raise ValueError(f"a pattern is (neighbours,) or (height, width), not {pattern}")


def n_of_m(scores: Tensor, n: int, m: int) -> Tensor:
    """Return the mask that keeps the n highest of every m neighbours along the last axis.

    A shorter group at the end keeps the same share, rounded down.
    Mishra et al. 2021, https://arxiv.org/abs/2104.08378, section 3: 2 of 4.
    """
    if not 0 <= n <= m or m < 1:
        raise ValueError(f"cannot keep {n} of {m} neighbours")
    size = scores.shape[-1]
    padded = functional.pad(scores.double(), (0, -size % m), value=-torch.inf)
    groups = padded.unflatten(-1, (-1, m))
    rank = groups.argsort(dim=-1, descending=True, stable=True).argsort(dim=-1)
    kept = rank < n
    if size % m:
        kept[..., -1, :] = rank[..., -1, :] < n * (size % m) // m
    return kept.flatten(-2)[..., :size]


def blocks(scores: Tensor, level: float, height: int, width: int) -> Tensor:
    """Return the mask `[rows, columns]` without the blocks of the lowest summed score.

    level: share of the blocks to remove, rounded to whole blocks. Blocks at the edges may be
        smaller, so blocks are ranked by their mean.
    """
    rows, columns = scores.shape
    padding = (0, -columns % width, 0, -rows % height)
    tall = functional.pad(scores.double(), padding).unflatten(0, (-1, height))
    inside = functional.pad(torch.ones_like(scores).double(), padding).unflatten(0, (-1, height))
    sums, sizes = (x.unflatten(2, (-1, width)).sum((1, 3)) for x in (tall, inside))
    ranked = (sums / sizes).flatten()
    left = torch.ones_like(ranked, dtype=torch.bool)
    left[ranked.argsort(stable=True)[: round(level * len(ranked))]] = False
    spread = left.view_as(sums).repeat_interleave(height, 0).repeat_interleave(width, 1)
    return spread[:rows, :columns]
