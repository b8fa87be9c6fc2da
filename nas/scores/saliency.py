"""Saliency of connections: how much the outputs or the loss depend on each weight."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from kernels.cell.layer import on_reference
from nas.core.answers import cross_entropy
from nas.core.score import ScoreFailed
from nas.core.task import Batch
from nas.scores.recurrent import finite, first_sequences, layer_outputs, weights_of


class SynapticSaliency:
    """Σ |w · ∂L/∂w| over all weights that the last layer's outputs depend on; L is their sum.

    Serianni and Kalita 2023, https://aclanthology.org/2023.acl-long.142/, section 3.2, after Tanaka
    et al. 2020, https://arxiv.org/abs/2006.05467, eq. 1. The authors' code leaves out the
    first matrix of every linear node, in most cells the one on x; we include it. Their notebook
    differentiates Σ y² / 2, but their published values use Σ y, as here.
    """

    name = "synaptic-saliency"
    higher_is_better = False

    def __call__(
        self, model: nn.Module, batch: Batch, generator: torch.Generator
    ) -> dict[str, float]:
        weights = weights_of(model)
        with torch.enable_grad():
            total = layer_outputs(model, batch)[-1].sum()
            gradients = torch.autograd.grad(total, weights, allow_unused=True)
        return finite(self.name, saliency(weights, gradients))


class Snip:
    """Σ |w · ∂L/∂w| over all weights, with the cross-entropy L of the batch's targets.

    Lee et al. 2019, https://arxiv.org/abs/1810.02340, eq. 6 without its normalisation, summed as
    in Abdelfattah et al. 2021, https://arxiv.org/abs/2101.08134, section 3.2.
    """

    name = "snip"
    higher_is_better = True

    def __call__(
        self, model: nn.Module, batch: Batch, generator: torch.Generator
    ) -> dict[str, float]:
        weights = weights_of(model)
        with torch.enable_grad():
            gradients = torch.autograd.grad(batch_loss(model, batch), weights, allow_unused=True)
        return finite(self.name, saliency(weights, gradients))


class Grasp:
    """-Σ w · (H g)_w over all weights, with the gradient g and Hessian H of the cross-entropy.

    Positive if the weights reduce the gradient flow (Wang et al. 2020,
    https://arxiv.org/abs/2002.07376, eq. 8), summed as in Abdelfattah et al. 2021. Second
    derivatives run on the slower reference, so only the batch's first sequences are used.
    """

    name = "grasp"
    higher_is_better = True

    def __init__(self, sequences: int = 4) -> None:
        if sequences < 1:
            raise ValueError(f"sequences must be at least 1, not {sequences}")
        self.sequences = sequences

    def __call__(
        self, model: nn.Module, batch: Batch, generator: torch.Generator
    ) -> dict[str, float]:
        few = first_sequences(batch, self.sequences)
        weights = weights_of(model)
        with on_reference(model), torch.enable_grad():
            loss = batch_loss(model, few)
            gradients = torch.autograd.grad(loss, weights, create_graph=True, allow_unused=True)
            moved = [g for g in gradients if g is not None]
            product = sum((g * g.detach()).sum() for g in moved)  # its gradient is H g
            if not isinstance(product, Tensor) or not product.requires_grad:
                raise ScoreFailed("the loss has no second derivative with respect to the weights")
            curved = torch.autograd.grad(product, weights, allow_unused=True)
        with torch.no_grad():
            terms = [
                -(w * h).sum().double()
                for w, h in zip(weights, curved, strict=True)
                if h is not None
            ]
        return finite(self.name, torch.stack(terms).sum())


def batch_loss(model: nn.Module, batch: Batch) -> Tensor:
    """Return the mean cross-entropy of the batch's answers."""
    return cross_entropy(model(batch.inputs, None, batch.lengths)[0], batch.targets)


def saliency(weights: Sequence[Tensor], gradients: tuple[Tensor | None, ...]) -> float:
    """Return Σ |w · g|; the tensors' sums are added in double precision."""
    return sum(
        float((weight.detach() * gradient).abs().sum().double())
        for weight, gradient in zip(weights, gradients, strict=True)
        if gradient is not None
    )
