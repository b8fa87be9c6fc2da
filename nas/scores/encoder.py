"""Scores of untrained encoders: confidence, importance and diversity of their layers.

Serianni and Kalita 2023, https://aclanthology.org/2023.acl-long.142/, section 4.2. Their code
keeps dropout and padding, and sums over modules. We leave out both, and average over modules, so
that a score does not merely count layers.
"""

import torch
from torch import Tensor, nn

from nas.core.score import ScoreFailed
from nas.core.task import Batch
from nas.scores.activation_distance import agreements, log_determinant
from nas.scores.attention import (
    answers_of,
    attentions,
    encoder_layers,
    head_projections,
    loss_gradients,
    valid_steps,
)
from nas.scores.recurrent import finite
from nas.scores.saliency import saliency
from search_spaces.transformer.mixing import LinearTransform, SelfAttention, SpanConvolution


class HeadConfidence:
    """The mean, over projections, sequences and heads, of a head's largest output.

    The maximum is over the head's width and the steps of the sequence. The authors' code, which
    calls it a head's confidence, takes it over steps only and ignores heads.
    """

    name = "head-confidence"
    higher_is_better = True

    def __call__(
        self, model: nn.Module, batch: Batch, generator: torch.Generator
    ) -> dict[str, float]:
        projections = head_projections(model)
        answers = answers_of([linear for linear, _ in projections], model, batch)
        means = []
        for (_, heads), answer in zip(projections, answers, strict=True):
            valid = valid_steps(answer, batch.lengths, answer.shape[1])
            outputs = answer.unflatten(2, (heads, -1))  # [B, T, heads, width]
            outputs = outputs.masked_fill(~valid[:, :, None, None], -torch.inf)
            means.append(outputs.amax(dim=(1, 3)).double().mean())
        return finite(self.name, torch.stack(means).mean())


class SoftmaxConfidence:
    """The mean, over attentions, heads and valid queries, of a query's largest probability.

    The authors' code takes the maximum over heads, not over keys.
    """

    name = "softmax-confidence"
    higher_is_better = True

    def __call__(
        self, model: nn.Module, batch: Batch, generator: torch.Generator
    ) -> dict[str, float]:
        softmaxes = [attention.softmax for attention in attentions(model)]
        means = []
        for answer in answers_of(softmaxes, model, batch):  # [B, heads, T, T]
            valid = valid_steps(answer, batch.lengths, answer.shape[2])
            largest = answer.amax(-1).transpose(1, 2)[valid]
            means.append(largest.double().mean())
        return finite(self.name, torch.stack(means).mean())


class HeadImportance:
    """The mean over heads' projections of Σ |w · ∂L/∂w|, with the batch's cross-entropy L.

    For L, see `loss_gradients`.
    """

    name = "head-importance"
    higher_is_better = True

    def __call__(
        self, model: nn.Module, batch: Batch, generator: torch.Generator
    ) -> dict[str, float]:
        weights = [linear.weight for linear, _ in head_projections(model)]
        gradients = loss_gradients(weights, model, batch)
        return finite(self.name, saliency(weights, gradients) / len(weights))


class SynapticDiversity:
    """The mean over the mixings' linear maps of ‖W‖ · ‖∂L/∂W‖, both nuclear norms.

    Zhou et al. 2022, https://arxiv.org/abs/2203.12217, section 3.2. For L, see `loss_gradients`.
    """

    name = "synaptic-diversity"
    higher_is_better = True

    def __call__(
        self, model: nn.Module, batch: Batch, generator: torch.Generator
    ) -> dict[str, float]:
        weights = [
            module.weight
            for layer in encoder_layers(model)
            for part in (layer.mixing, layer.projection)
            for module in part.modules()
            if isinstance(module, nn.Linear)
        ]
        gradients = loss_gradients(weights, model, batch)
        products = [
            _nuclear(weight.detach()) * _nuclear(gradient)
            for weight, gradient in zip(weights, gradients, strict=True)
            if gradient is not None
        ]
        return finite(self.name, torch.stack(products).mean())


class EncoderActivationDistance:
    """log |det K| as in `ActivationDistance`, over the outputs of the feed-forwards' GELUs.

    The authors' code compares the steps of the first sequence and sums K, including padding. Here
    K compares sequences, at the steps that all of them have.
    """

    name = "encoder-activation-distance"
    higher_is_better = True

    def __call__(
        self, model: nn.Module, batch: Batch, generator: torch.Generator
    ) -> dict[str, float]:
        layers = encoder_layers(model)
        gelus = [m for layer in layers for m in layer.feed_forward if isinstance(m, nn.GELU)]
        answers = answers_of(gelus, model, batch)
        shared = None if batch.lengths is None else int(batch.lengths.min())
        read = [answer[:, :shared] for answer in answers]  # [B, T, F]
        if not all(bool(torch.isfinite(answer).all()) for answer in read):
            raise ScoreFailed("an activation of a feed-forward layer is not finite")
        fired = [(answer > 0).flatten(1) for answer in read]
        return finite(self.name, log_determinant(agreements(fired)))


class LayerCount:
    """The number of encoder layers: the baseline that ranks NAS-Bench-BERT best (tau 0.68)."""

    name = "layers"
    higher_is_better = True

    def __call__(
        self, model: nn.Module, batch: Batch, generator: torch.Generator
    ) -> dict[str, float]:
        return {self.name: float(len(encoder_layers(model)))}


class EncoderSize:
    """The depth, then the hidden size, then the nonlinear parts that a later layer mixes.

    The value is depth + hidden / 10⁴ + parts / 10⁸. Parts are the heads of all layers, and the
    feed-forward maps of all layers but the last, whose results reach no other token. Rule of
    `tests/benchmarks/electra_encoders.py`, found on 260 of its encoders and judged on 120 others.
    """

    name = "encoder-size"
    higher_is_better = True

    def __call__(
        self, model: nn.Module, batch: Batch, generator: torch.Generator
    ) -> dict[str, float]:
        layers = encoder_layers(model)
        mixings = (SelfAttention, LinearTransform, SpanConvolution)
        heads = [m.heads for i in layers for m in i.modules() if isinstance(m, mixings)]
        maps = [isinstance(m, nn.GELU) for layer in layers[:-1] for m in layer.feed_forward]
        hidden, parts = layers[0].projection.in_features, sum(heads) + sum(maps)
        return {self.name: len(layers) + hidden * 1e-4 + parts * 1e-8}


def _nuclear(matrix: Tensor) -> Tensor:
    """Return the sum of singular values; raises `ScoreFailed` if the matrix is not finite."""
    if not torch.isfinite(matrix).all():
        raise ScoreFailed("a weight or its gradient is not finite")
    return torch.linalg.matrix_norm(matrix.double(), "nuc")
