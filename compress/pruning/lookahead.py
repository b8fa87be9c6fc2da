"""Lookahead: scores a weight together with the weights before and after it."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from compress.pruning.masks import Scores
from compress.pruning.targets import Target, parameters_of


def lookahead(model: nn.Module, targets: Sequence[Target]) -> Scores:
    """Return |w| · ‖weights into its input unit‖ · ‖weights out of its output unit‖.

    The neighbours of a layer are the targets before and after it in the model's order whose widths
    fit; a missing one counts as 1. In a recurrent layer, both matrices lead into a unit, and the
    hidden-to-hidden matrix and the next layer lead out of it.

    Park et al. 2020, https://arxiv.org/abs/2002.04809, eq. 5.
    """
    weights = parameters_of(model, targets)
    matrices = {t.parameter: _by_units(weights[t.parameter].detach(), t) for t in targets}
    layers: dict[str, list[Target]] = {}
    for target in targets:
        layers.setdefault(target.layer, []).append(target)
    order = list(layers)
    scores: Scores = {}
    for i, name in enumerate(order):
        before = _into(layers[order[i - 1]], matrices) if i else None
        own = [t for t in layers[name] if t.kind == "h2h"]
        after = [t for t in layers[order[i + 1]] if t.kind != "h2h"] if i + 1 < len(order) else []
        out = _out_of([*own, *after], matrices, len(matrices[layers[name][0].parameter][0]))
        for target in layers[name]:
            leading = _into(layers[name], matrices) if target.kind == "h2h" else before
            scores[target.parameter] = _score(weights[target.parameter], target, leading, out)
    return scores


def _gates_first(weight: Tensor, target: Target) -> Tensor:
    """Return the weight as `[gates, units, inputs, …]`."""
    if target.kind != "weight" and weight.ndim == 3:  # a cell's matrices already have this shape
        return weight
    return weight.unflatten(0, (target.gates, -1))


def _has_heads(weight: Tensor, target: Target) -> bool:
    """Return whether the weight is a cell's `[connections, N, D, D]`."""
    return target.kind == "h2h" and weight.ndim == 4


def _by_units(weight: Tensor, target: Target) -> Tensor:
    """Return the weight as `[gates, units, inputs, …]`, with heads as blocks on the diagonal."""
    if _has_heads(weight, target):
        return torch.stack([torch.block_diag(*heads) for heads in weight])
    return _gates_first(weight, target)


def _into(layer: Sequence[Target], matrices: dict[str, Tensor]) -> Tensor:
    """Return ‖all weights into each unit of the layer‖."""
    squares = [matrices[t.parameter].square().transpose(0, 1).flatten(1).sum(1) for t in layer]
    return torch.stack(squares).sum(0).sqrt()


def _out_of(readers: Sequence[Target], matrices: dict[str, Tensor], units: int) -> Tensor | None:
    """Return ‖all weights that read each unit‖, `[units]`, or None if nothing reads them."""
    read = [matrices[t.parameter].square().transpose(0, 2).flatten(1).sum(1) for t in readers]
    fitting = [squares for squares in read if len(squares) == units]
    return torch.stack(fitting).sum(0).sqrt() if fitting else None


def _score(weight: Tensor, target: Target, leading: Tensor | None, out: Tensor | None) -> Tensor:
    score = weight.detach().abs()
    if _has_heads(weight, target):
        heads = weight.shape[1:3]
        assert leading is not None and out is not None
        return score * leading.view(1, heads[0], 1, heads[1]) * out.view(1, *heads, 1)
    score = _gates_first(score, target)
    trailing = [1] * (score.ndim - 3)
    if leading is not None and len(leading) == score.shape[2]:
        score = score * leading.view(-1, *trailing)
    if out is not None:
        score = score * out.view(-1, 1, *trailing)
    return score.reshape(weight.shape)
