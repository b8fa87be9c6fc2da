"""Masks: choose them by scores, apply them to weights, and measure the sparsity of weights."""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from compress.names import SCOPES, read_pattern
from compress.pruning.patterns import in_pattern
from compress.pruning.targets import Target, parameters_of, targets_of

Masks = dict[str, Tensor]  # booleans by parameter name, True where a weight is left
Scores = dict[str, Tensor]  # by parameter name; the lowest are removed first


class PrunedAway(ValueError):
    """A layer would lose all of its weights; the message names it."""


def all_left(model: nn.Module, targets: Sequence[Target]) -> Masks:
    """Return masks that remove nothing."""
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
    """Return the share of zeros in all tensors; 0 if there are none."""
    size = sum(tensor.numel() for tensor in tensors.values())
    zeros = size - sum(int(tensor.count_nonzero()) for tensor in tensors.values())
    return zeros / max(size, 1)


def counted_sparsity(model: nn.Module, what: str) -> float:
    """Return the share of zeros in the model's tensors named by `what`; see `targets_of`."""
    return sparsity(parameters_of(model, targets_of(model, what)))


def remove_lowest(
    masks: Masks, scores: Scores, targets: Sequence[Target], level: float, scope: str = "global"
) -> Masks:
    """Return masks that remove `round(level * size)` weights of every group.

    masks: the masks so far; removed weights stay removed.
    level: share of removed weights, 0 to 1.
    scope: which weights are ranked together: all targets, each tensor, each gate of each tensor,
        or a pattern's groups, see `read_pattern`.
    Equal scores are removed in the tensors' order.
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
    """Raise `PrunedAway` if a tensor has no weight left.

    Recurrent layers may lose a whole tensor: their elementwise path is left, and users test on
    purpose what a network does without its hidden-to-hidden weights.
    """
    for target in targets:
        if target.kind == "weight" and not masks[target.parameter].any():
            raise PrunedAway(
                f"every weight of layer {target.parameter} would be pruned: "
                "lower the level or use --scope layer"
            )


def tiled(mask: Tensor, gates: int) -> Tensor:
    """Repeat one gate's mask `[H, C]` for all gates, gate after gate: `[gates * H, C]`.

    Published sparse GRUs and LSTMs (Darji 2024, https://arxiv.org/abs/2407.20601) repeat each row
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
    """Yield the groups that are ranked together, as lists of (parameter, gate, gates)."""
    match scope:
        case "global":
            yield [(target.parameter, 0, 1) for target in targets]
        case "layer":
            yield from ([(target.parameter, 0, 1)] for target in targets)
        case "gate":
            for target in targets:
                yield from ([(target.parameter, i, target.gates)] for i in range(target.gates))


def _part(tensors: Mapping[str, Tensor], name: str, gate: int, gates: int) -> Tensor:
    """Return one gate of a tensor as a flat view."""
    return tensors[name].view(gates, -1)[gate]
