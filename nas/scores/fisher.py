"""Fisher: how much the loss of an untrained model depends on each of its hidden units."""

import torch
from torch import nn

from nas.core.task import Batch
from nas.scores.hidden_saliency import state_gradients
from nas.scores.recurrent import finite
from nas.scores.saliency import batch_loss


class Fisher:
    """Σ over layers and units of Σ_n (Σ_t h · ∂L_n/∂h)² / 2B, with the loss L_n of one sequence.

    A recurrent layer's units play the part of channels, its steps that of an image's pixels. L_n is
    B times the sequence's contribution to the batch's mean cross-entropy.

    Theis et al. 2018, https://arxiv.org/abs/1801.05787, eq. 8; used as a score by Turner et al.
    2020, https://arxiv.org/abs/1906.04113, eq. 4.
    """

    name = "fisher"
    higher_is_better = True

    def __call__(
        self, model: nn.Module, batch: Batch, generator: torch.Generator
    ) -> dict[str, float]:
        sequences = len(batch.inputs)
        total = 0.0
        for states, gradients in state_gradients(model, lambda: batch_loss(model, batch)):
            by_unit = (states * gradients * sequences).sum(dim=0)  # [B, H]
            total += float(by_unit.square().sum()) / (2 * sequences)
        return finite(self.name, total)
