"""Gradient norm: the size of the loss's gradient in an untrained network."""

import torch
from torch import nn

from nas.core.score import ScoreFailed
from nas.core.task import Batch
from nas.scores.recurrent import finite
from nas.scores.saliency import batch_loss


class GradientNorm:
    """The Euclidean norm of the loss's gradient with respect to all weights, at initialisation.

    Abdelfattah et al. 2021, https://arxiv.org/abs/2101.08134, section 3.1 (grad_norm).

    Cells whose states fade have almost no gradient and learn nothing in a few steps. Hidden
    covariance misses this, because correlations do not depend on the size of the states.
    """

    name = "gradient-norm"
    higher_is_better = True

    def __call__(
        self, model: nn.Module, batch: Batch, generator: torch.Generator
    ) -> dict[str, float]:
        weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
        with torch.enable_grad():
            gradients = torch.autograd.grad(batch_loss(model, batch), weights, allow_unused=True)
        norm = sum(float(g.double().square().sum()) for g in gradients if g is not None) ** 0.5
        if norm == 0:
            raise ScoreFailed("the loss has no gradient: the outputs do not depend on any weight")
        return finite(self.name, norm)
