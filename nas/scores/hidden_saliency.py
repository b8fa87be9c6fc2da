"""Saliency of states: what taking each hidden state of an untrained RNN away would change."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from kernels.cell.layer import CompiledRNN
from nas.core.task import Batch
from nas.scores.recurrent import finite, layer_outputs, watched_cells


class HiddenSaliency:
    """Σ |h · ∂L/∂h| over the first state of every layer after every step.

    L is the sum of the last layer's outputs; decoder and targets play no part. The derivative
    counts what a state changes at all later steps.

    Serianni and Kalita 2023, https://aclanthology.org/2023.acl-long.142/, section 3.2. Their
    notebook differentiates Σ y² / 2 and sums over six passes; their published values are those of
    Σ y and one pass, as here. On NAS-Bench-NLP high values go with bad models.
    """

    name = "hidden-saliency"
    higher_is_better = False

    def __call__(
        self, model: nn.Module, batch: Batch, generator: torch.Generator
    ) -> dict[str, float]:
        layers = state_gradients(model, lambda: layer_outputs(model, batch)[-1].sum())
        return finite(self.name, sum(float((h * g).abs().sum()) for h, g in layers))


def state_gradients(model: nn.Module, loss: Callable[[], Tensor]) -> list[tuple[Tensor, Tensor]]:
    """For every layer the first state after each step, and the loss's whole derivative by it.

    loss: runs the model and returns a scalar.
    Returns L pairs `[T, B, H]` in double precision.
    """
    seen: dict[int, list[Tensor]] = {}

    def watch(layer: CompiledRNN, values: list[Tensor]) -> None:
        seen.setdefault(id(layer), []).append(values[layer.cell.outputs[0]])

    with watched_cells(model, watch), torch.enable_grad():
        total = loss()
        states = [state for layer in seen.values() for state in layer]
        gradients = torch.autograd.grad(total, states, allow_unused=True, materialize_grads=True)
    pairs = []
    for layer in seen.values():
        own, gradients = gradients[: len(layer)], gradients[len(layer) :]
        pairs.append((torch.stack(layer).detach().double(), torch.stack(own).double()))
    return pairs
