"""Saliency of states: how much the outputs of an untrained RNN depend on each hidden state."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from kernels.cell.layer import CompiledRNN
from nas.core.task import Batch
from nas.scores.recurrent import finite, layer_outputs, watched_cells


class HiddenSaliency:
    """Σ |h · ∂L/∂h| over the first state of every layer after every step.

    L is the sum of the last layer's outputs; the decoder and the targets are not used. The
    derivative includes a state's effect on all later steps.

    Serianni and Kalita 2023, https://aclanthology.org/2023.acl-long.142/, section 3.2. Their
    notebook differentiates Σ y² / 2 and sums over six passes; their published values use Σ y and
    one pass, as here. On NAS-Bench-NLP, bad models have high values.
    """

    name = "hidden-saliency"
    higher_is_better = False

    def __call__(
        self, model: nn.Module, batch: Batch, generator: torch.Generator
    ) -> dict[str, float]:
        layers = state_gradients(model, lambda: layer_outputs(model, batch)[-1].sum())
        return finite(self.name, sum(float((h * g).abs().sum()) for h, g in layers))


def state_gradients(model: nn.Module, loss: Callable[[], Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Return every layer's first states after each step, and the loss's total derivative by them.

    loss: runs the model and returns a scalar.
    Returns L pairs of `[T, B, H]` in double precision.
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
