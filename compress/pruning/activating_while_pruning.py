"""Activating-while-pruning: remove the negative weights that training moved least."""

from collections.abc import Mapping

import torch
from torch import Tensor

from compress.pruning.masks import Masks


def remove_unmoved_negatives(
    masks: Masks,
    weights: Mapping[str, Tensor],
    start: Mapping[str, Tensor],
    count: int,
    relative: bool = False,
) -> Masks:
    """Masks without `count` more weights: those below zero that moved least, over all tensors.

    A negative weight pushes a ReLU towards zero; one that training left alone is the least
    harmful to lose. Where fewer are left, all of them go.
    weights: trained, by the name of the parameter. start: the same before the cycle's training.
    relative: measure movement in units of the tensor's root mean square: for networks whose
        layers have different scales. The paper's code compares it as it is.

    Liu et al. 2022, https://arxiv.org/abs/2212.06145, as in the authors' `resnet_20.py`.
    """
    movement = []
    for name, mask in masks.items():
        weight = weights[name].detach()
        moved = (weight - start[name]).abs().double()
        if relative:
            moved = moved / weight.double().square().mean().sqrt().clamp_min(1e-30)
        movement.append(torch.where(mask & (weight < 0), moved, torch.inf).flatten())
    ranked = torch.cat(movement)
    count = min(count, int(ranked.isfinite().sum()))
    left = torch.cat([mask.flatten() for mask in masks.values()])
    left[ranked.argsort(stable=True)[:count]] = False
    parts = left.split([mask.numel() for mask in masks.values()])
    return {
        name: part.view_as(mask) for (name, mask), part in zip(masks.items(), parts, strict=True)
    }
