"""Decaying gradient noise: helps networks that are hard to train, such as sparse ones."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn


def noise_deviation(step: int, strength: float) -> float:
    """Return σ of the noise at a step: σ² = η / (1 + t)^0.55.

    strength: η; the paper uses 0.01, 0.3 and 1.
    Neelakantan et al. 2015, https://arxiv.org/abs/1511.06807, eq. 1.

    >>> noise_deviation(0, 0.25)
    0.5
    """
    return (strength / (1 + step) ** 0.55) ** 0.5


def add_gradient_noise(
    model: nn.Module, masks: Mapping[str, Tensor], step: int, strength: float, seed: int
) -> None:
    """Add Gaussian noise to all gradients except those of removed weights.

    The noise depends only on the seed and the step, so resumed training draws the same noise.
    """
    deviation = noise_deviation(step, strength)
    state = np.random.SeedSequence([seed, step]).generate_state(1)
    generator = torch.Generator().manual_seed(int(state[0]))
    for name, parameter in model.named_parameters():
        if parameter.grad is None:
            continue
        noise = torch.randn(parameter.shape, generator=generator)
        if name in masks:
            noise *= masks[name].cpu()
        parameter.grad.add_(noise.to(parameter.grad), alpha=deviation)
