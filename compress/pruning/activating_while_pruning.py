"""Activating-while-pruning: removes the negative weights that training moved least."""

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
    """Return masks that remove `count` more weights: the negative ones that moved least, globally.

    A negative weight pushes a ReLU towards zero; losing one that training hardly moved does the
    least harm. If fewer than `count` negative weights are left, all of them are removed.
    weights: the trained weights by parameter name. start: the weights before the cycle's training.
    relative: divide movement by the root mean square of the tensor, for networks whose layers
        have different scales. The paper's code does not divide.

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
