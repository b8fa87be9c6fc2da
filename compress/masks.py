"""Masks: which weights are left, chosen by scores, kept by multiplication, counted from weights."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from compress.targets import Target, parameters_of

Masks = dict[str, Tensor]  # of booleans by the name of the parameter, True where a weight is left
Scores = dict[str, Tensor]  # by the name of the parameter, lowest goes first
Scope = Literal["global", "layer", "gate"]

SCOPES: tuple[Scope, ...] = ("global", "layer", "gate")


class PrunedAway(ValueError):
    """A layer has no weight left; the message names it."""


def all_left(model: nn.Module, targets: Sequence[Target]) -> Masks:
    """Masks that remove nothing."""
    return {
        name: torch.ones_like(weight, dtype=torch.bool)
        for name, weight in parameters_of(model, targets).items()
    }


def apply_masks(model: nn.Module, masks: Mapping[str, Tensor]) -> None:
    """Set removed weights to zero."""
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for name, mask in masks.items():
            parameters[name].mul_(mask.to(parameters[name].device))


def mask_gradients(model: nn.Module, masks: Mapping[str, Tensor]) -> None:
    """Set the gradients of removed weights to zero."""
    parameters = dict(model.named_parameters())
    for name, mask in masks.items():
        gradient = parameters[name].grad
        if gradient is not None:
            gradient.mul_(mask.to(gradient.device))


def sparsity(tensors: Mapping[str, Tensor]) -> float:
    """Share of zeros, counted; 0 of nothing."""
    size = sum(tensor.numel() for tensor in tensors.values())
    zeros = size - sum(int(tensor.count_nonzero()) for tensor in tensors.values())
    return zeros / max(size, 1)


def remove_lowest(
    masks: Masks, scores: Scores, targets: Sequence[Target], level: float, scope: Scope = "global"
) -> Masks:
    """Masks in which `round(level * size)` weights of every group are removed.

    masks: what is left before; weights that are removed stay removed.
    level: share of removed weights, 0 to 1.
    scope: what is ranked together: all targets, each tensor, or each gate of each tensor.
    Of equal scores the first in the tensors' order goes first.
    """
    new = {name: mask.clone() for name, mask in masks.items()}
    for group in _groups(targets, scope):
        left = torch.cat([_part(masks, *piece) for piece in group])
        ranked = torch.cat([_part(scores, *piece) for piece in group]).double()
        ranked = torch.where(left, ranked, torch.inf)
        count = round(level * len(left)) - int((~left).sum())
        left = left.clone()
        left[ranked.argsort(stable=True)[: max(count, 0)]] = False
        for piece, values in zip(
            group, left.split([len(_part(masks, *piece)) for piece in group]), strict=True
        ):
            _part(new, *piece).copy_(values)
    return new


def refuse_empty_layers(targets: Sequence[Target], masks: Mapping[str, Tensor]) -> None:
    """Raises `PrunedAway` when a tensor has no weight left.

    Those of recurrent layers may lose all: the elementwise path is left, and what a network does
    without its hidden-to-hidden weights is asked on purpose.
    """
    for target in targets:
        if target.kind == "weight" and not masks[target.parameter].any():
            raise PrunedAway(
                f"layer {target.parameter} is pruned away whole: ask for less, or for --scope layer"
            )


def tiled(mask: Tensor, gates: int) -> Tensor:
    """One gate's mask `[H, C]` for all gates, gate after gate: `[gates * H, C]`.

    Published sparse GRUs and LSTMs (Darji 2024, https://arxiv.org/abs/2407.20601) repeated rows
    instead, which interleaves the gates.
    """
    return mask.repeat(gates, *[1] * (mask.ndim - 1))


def n_of_m(scores: Tensor, n: int, m: int) -> Tensor:
    """The mask that keeps the n highest of every m neighbours along the last axis.

    An end that is shorter than m keeps its share, rounded down.
    Mishra et al. 2021, https://arxiv.org/abs/2104.08378, section 3: 2 of 4.
    """
    if not 0 <= n <= m or m < 1:
        raise ValueError(f"{n} of {m} cannot be kept")
    size = scores.shape[-1]
    padded = functional.pad(scores.double(), (0, -size % m), value=-torch.inf)
    groups = padded.unflatten(-1, (-1, m))
    rank = groups.argsort(dim=-1, descending=True, stable=True).argsort(dim=-1)
    kept = rank < n
    if size % m:
        kept[..., -1, :] = rank[..., -1, :] < n * (size % m) // m
    return kept.flatten(-2)[..., :size]


def blocks(scores: Tensor, level: float, height: int, width: int) -> Tensor:
    """The mask `[rows, columns]` without the blocks of lowest summed score.

    level: share of the blocks that is removed, rounded to whole blocks; those at the edges may be
        smaller and are ranked by their mean.
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


def _groups(targets: Sequence[Target], scope: Scope) -> Iterator[list[tuple[str, int, int]]]:
    """What is ranked together, as pieces (parameter, gate, gates)."""
    match scope:
        case "global":
            yield [(target.parameter, 0, 1) for target in targets]
        case "layer":
            yield from ([(target.parameter, 0, 1)] for target in targets)
        case "gate":
            for target in targets:
                yield from ([(target.parameter, i, target.gates)] for i in range(target.gates))


def _part(tensors: Mapping[str, Tensor], name: str, gate: int, gates: int) -> Tensor:
    """One gate of a tensor as a flat view."""
    return tensors[name].view(gates, -1)[gate]
