"""Influence: how much of an untrained RNN's states is due to a single earlier input."""

import torch
from torch import Tensor, nn

from nas.core.score import ScoreFailed
from nas.core.task import Batch
from nas.scores.recurrent import inputs_by_step, layer_outputs

FARTHEST = 32  # steps; sequences shorter than twice this are followed for half their length


def influences(model: nn.Module, batch: Batch) -> tuple[list[Tensor], list[Tensor]]:
    """Return every recurrent layer's states, and the share of their variance due to one input.

    Returns, for each layer, the states `[B, T, H]`, and the shares `[lags]` at 0, 1, 2 … steps
    after the input, in float64. The input of one step is replaced by that of another sequence.
    With the batch's states y, and y' those after the change, the share is
    Σ E(y - y')² / (2 Σ Var y), summed over the units: the total-effect index of the input,
    Jansen 1999, https://doi.org/10.1016/S0010-4655(98)00154-4, eq. 20; for several outputs
    together, Gamboa et al. 2014, https://arxiv.org/abs/1311.1797, section 2. It can exceed 1,
    because the words of a text depend on each other.

    Raises `ScoreFailed` for sequences that are too short, for states that are not finite, and for
    a layer whose states are the same for all sequences.
    """
    batch = of_one_length(batch)
    states = layer_outputs(model, batch)
    steps = states[0].shape[1]
    farthest = min(FARTHEST, steps // 2)
    if farthest < 2:
        raise ScoreFailed(f"sequences of {steps} steps are too short: 4 are needed")
    at = steps - 1 - farthest

    def changed(x: Tensor) -> Tensor:
        x = x.clone()
        step = inputs_by_step(model, x)[:, at]
        step.copy_(step.roll(1, dims=0))
        return x

    after = layer_outputs(model, batch, changed)
    return states, [
        _shares(y[:, at:].double(), z[:, at:].double(), layer)
        for layer, (y, z) in enumerate(zip(states, after, strict=True), start=1)
    ]


def _shares(states: Tensor, changed: Tensor, layer: int) -> Tensor:
    """Return the shares `[lags]`. states, changed: `[B, lags, H]`."""
    variance = states.var(dim=0, correction=0).sum(dim=1).mean()
    if not torch.isfinite(variance):
        raise ScoreFailed(f"layer {layer} has states that are not finite")
    if variance == 0:
        raise ScoreFailed(f"layer {layer} has the same states for all inputs")
    return (states - changed).square().mean(dim=0).sum(dim=1) / (2 * variance)


def of_one_length(batch: Batch) -> Batch:
    """Return the sequences of at least the median length, cut to that length."""
    if batch.lengths is None:
        return batch
    steps = int(batch.lengths.median())
    kept = batch.lengths >= steps
    return Batch(batch.inputs[kept, :steps], batch.targets[kept])
