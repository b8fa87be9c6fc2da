"""AR-Net's regulariser: its one setting is the expected share of weights that are left."""

from collections.abc import Iterable

import torch
from torch import Tensor

EPSILON = 1e-9  # the root's gradient is infinite at 0


def density_penalty(
    weights: Iterable[Tensor], density: float, progress: float, strength: float = 0.02
) -> Tensor:
    """Return λ R, a scalar to add to the loss.

    R = mean(2 / (1 + exp(-3 |w|^(1/3))) - 1), λ = strength (1/density - 1) min(1, 2 progress)².
    density: expected share of non-zero weights, in (0, 1].
    progress: share of the training that is done; the penalty grows until 0.5.

    Triebe et al. 2019, https://arxiv.org/abs/1911.12436, section 3.2; the factor grows as in the
    authors' code.
    """
    if not 0 < density <= 1:
        raise ValueError(f"density must be above 0 and at most 1, not {density}")
    factor = strength * (1 / density - 1) * min(1.0, 2 * progress) ** 2
    flat = torch.cat([weight.flatten() for weight in weights])
    root = (flat.abs() + EPSILON).pow(1 / 3) - EPSILON ** (1 / 3)
    return factor * (2 * torch.sigmoid(3 * root) - 1).mean()
