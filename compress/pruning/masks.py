"""Masks: which weights are left, chosen by scores, kept by multiplication, counted from weights."""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from compress.names import SCOPES, read_pattern
from compress.pruning.patterns import in_pattern
from compress.pruning.targets import Target, parameters_of, targets_of

Masks = dict[str, Tensor]  # of booleans by the name of the parameter, True where a weight is left
Scores = dict[str, Tensor]  # by the name of the parameter, lowest goes first


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


def counted_sparsity(model: nn.Module, what: str) -> float:
    """Share of zeros among what `what` stands for in the model: see `targets_of`."""
    return sparsity(parameters_of(model, targets_of(model, what)))


def remove_lowest(
    masks: Masks, scores: Scores, targets: Sequence[Target], level: float, scope: str = "global"
) -> Masks:
    """Masks in which `round(level * size)` weights of every group are removed.

    masks: what is left before; weights that are removed stay removed.
    level: share of removed weights, 0 to 1.
    scope: what is ranked together: all targets, each tensor, each gate of each tensor, or a
        pattern's groups, see `read_pattern`.
    Of equal scores the first in the tensors' order goes first.
    """
    if scope not in SCOPES:
        return _by_pattern(masks, scores, targets, level, read_pattern(scope))
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


def _by_pattern(
    masks: Masks,
    scores: Scores,
    targets: Sequence[Target],
    level: float,
    pattern: tuple[int, ...],
) -> Masks:
    new = {}
    for target in targets:
        mask = masks[target.parameter]
        ranked = scores[target.parameter].masked_fill(~mask, -torch.inf)
        rows = ranked.flatten(1) if target.kind == "weight" else ranked.flatten(0, -2)
        new[target.parameter] = mask & in_pattern(rows, level, pattern).view_as(mask)
    return new


def _groups(targets: Sequence[Target], scope: str) -> Iterator[list[tuple[str, int, int]]]:
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
