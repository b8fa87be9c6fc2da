"""Saliency: scores how much a network needs each weight; the lowest are removed first."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from compress.pruning.lookahead import lookahead
from compress.pruning.masks import Masks, Scores, apply_masks
from compress.pruning.synaptic_flow import synaptic_flow
from compress.pruning.targets import Target, parameters_of
from kernels.cell.layer import on_reference

Losses = Callable[[nn.Module], Iterator[Tensor]]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a method may use besides the weights.

    losses: the model's losses on some batches, one per batch, with gradients.
    start: the weights before training, by parameter name.
    example: one input, `[1, …]`.
    generator: for random scores.
    """

    losses: Losses | None = None
    start: Mapping[str, Tensor] | None = None
    example: Tensor | None = None
    generator: torch.Generator | None = None


@dataclass(frozen=True, slots=True)
class Method:
    """A way of scoring weights.

    score: returns the scores of a model whose removed weights are zero.
    needs: the fields of `Evidence` that must be given.
    rounds: how many times weights are scored and removed on the way to a level.
    """

    score: Callable[[nn.Module, Sequence[Target], Evidence], Scores]
    needs: frozenset[str] = frozenset()
    rounds: int = 1


def magnitude(model: nn.Module, targets: Sequence[Target], evidence: Evidence) -> Scores:
    """Return |w|."""
    return {name: w.detach().abs() for name, w in parameters_of(model, targets).items()}


def gradient(model: nn.Module, targets: Sequence[Target], evidence: Evidence) -> Scores:
    """Return |w · ∂L/∂w| with the mean loss L of all batches (Blalock et al. 2020, section 7.2)."""
    assert evidence.losses is not None
    weights = parameters_of(model, targets)
    sums = {name: torch.zeros_like(w) for name, w in weights.items()}
    for loss in evidence.losses(model):
        for total, slope in zip(sums.values(), _gradients(loss, weights), strict=True):
            total += slope
    return {name: (w.detach() * sums[name]).abs() for name, w in weights.items()}


def movement(model: nn.Module, targets: Sequence[Target], evidence: Evidence) -> Scores:
    """Return |w| - |w at the start|: weights that training moved towards zero go first.

    The magnitude increase of Zhou et al. 2019, https://arxiv.org/abs/1905.01067, section 3.
    """
    start = evidence.start
    assert start is not None
    return {
        name: w.detach().abs() - start[name].abs()
        for name, w in parameters_of(model, targets).items()
    }


def lamp(model: nn.Module, targets: Sequence[Target], evidence: Evidence) -> Scores:
    """Return w² over the sum of squares of its tensor's weights that are at least as large.

    Lee et al. 2021, https://arxiv.org/abs/2010.07611, eq. 4.
    """
    scores = {}
    for name, weight in parameters_of(model, targets).items():
        squares = weight.detach().flatten().double().square()
        ordered, order = squares.sort(stable=True)
        no_smaller = ordered.flip(0).cumsum(0).flip(0)
        score = torch.empty_like(squares)
        score[order] = ordered / no_smaller.clamp_min(torch.finfo(torch.double).tiny)
        scores[name] = score.view_as(weight)
    return scores


def snip(model: nn.Module, targets: Sequence[Target], evidence: Evidence) -> Scores:
    """Return |w · ∂L/∂w| at the weights before training, with the first batch's loss L.

    Lee et al. 2019, https://arxiv.org/abs/1810.02340, eq. 6; its normalisation does not change
    ranks and is left out.
    """
    untrained = _at_start(model, targets, evidence)
    weights = parameters_of(untrained, targets)
    slopes = _gradients(_first_loss(untrained, evidence), weights)
    return {
        name: (w.detach() * slope).abs()
        for (name, w), slope in zip(weights.items(), slopes, strict=True)
    }


def grasp(model: nn.Module, targets: Sequence[Target], evidence: Evidence) -> Scores:
    """Return w · (H g) at the weights before training, with the loss's gradient g and Hessian H.

    Wang et al. 2020, https://arxiv.org/abs/2002.07376, eq. 8. Like the authors' code, we remove
    the weights with the highest -w · (H g), which reduce the gradient flow.
    """
    untrained = _at_start(model, targets, evidence)
    weights = parameters_of(untrained, targets)
    with on_reference(untrained):
        loss = _first_loss(untrained, evidence)
        slopes = _gradients(loss, weights, create_graph=True)
        product = sum((slope * slope.detach()).sum() for slope in slopes)
        curved = _gradients(product, weights)
    return {
        name: w.detach() * curve for (name, w), curve in zip(weights.items(), curved, strict=True)
    }


def flow(model: nn.Module, targets: Sequence[Target], evidence: Evidence) -> Scores:
    """Return SynFlow scores; see `compress.pruning.synaptic_flow`."""
    assert evidence.example is not None
    return synaptic_flow(model, targets, evidence.example)


def neighbours(model: nn.Module, targets: Sequence[Target], evidence: Evidence) -> Scores:
    """Return lookahead scores; see `compress.pruning.lookahead`."""
    return lookahead(model, targets)


def random(model: nn.Module, targets: Sequence[Target], evidence: Evidence) -> Scores:
    """Return random scores."""
    return {
        name: torch.rand(w.shape, generator=evidence.generator).to(w.device)
        for name, w in parameters_of(model, targets).items()
    }


METHODS: dict[str, Method] = {
    "magnitude": Method(magnitude),
    "gradient": Method(gradient, frozenset({"losses"})),
    "movement": Method(movement, frozenset({"start"})),
    "lamp": Method(lamp),
    "lookahead": Method(neighbours),
    "snip": Method(snip, frozenset({"losses", "start"})),
    "grasp": Method(grasp, frozenset({"losses", "start"})),
    "synflow": Method(flow, frozenset({"example"}), rounds=100),
    "random": Method(random),
}


def _gradients(
    loss: Any, weights: Mapping[str, Tensor], create_graph: bool = False
) -> list[Tensor]:
    found = torch.autograd.grad(
        loss, list(weights.values()), create_graph=create_graph, allow_unused=True
    )
    return [
        torch.zeros_like(weight) if slope is None else slope
        for weight, slope in zip(weights.values(), found, strict=True)
    ]


def _first_loss(model: nn.Module, evidence: Evidence) -> Tensor:
    assert evidence.losses is not None
    return next(iter(evidence.losses(model)))


def _at_start(model: nn.Module, targets: Sequence[Target], evidence: Evidence) -> nn.Module:
    """Return a copy with the weights before training; removed weights stay removed."""
    start = evidence.start
    assert start is not None
    masks: Masks = {name: w.detach() != 0 for name, w in parameters_of(model, targets).items()}
    untrained = deepcopy(model)
    with torch.no_grad():
        for name, parameter in untrained.named_parameters():
            parameter.copy_(start[name])
    apply_masks(untrained, masks)
    return untrained
