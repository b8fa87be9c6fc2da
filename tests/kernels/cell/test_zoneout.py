"""Zoneout agrees with its equations, in training and in inference, on every backend."""

import pytest
import torch
from torch import Tensor

from kernels.cell.layer import CompiledRNN
from kernels.cell.reference import reference_step
from kernels.cell.spec import CellSpec
from kernels.cell.zoo import ZOO
from kernels.layers import Recurrent

LSTM = CellSpec.from_recipe(ZOO["lstm"])
RATES = (0.05, 0.5)


def restated(layer: CompiledRNN, x: Tensor, training: bool) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Krueger et al. 2017, equations 3 and 4, step by step, with the layer's own masks."""
    batch, steps, _ = x.shape
    rates = torch.tensor(RATES).double().repeat_interleave(5).expand(batch, steps, -1)
    kept = torch.bernoulli(rates) if training else rates
    state, outputs = layer.initial_state(batch, x), []
    for step in range(steps):
        new = reference_step(LSTM, x[:, step], state, layer.weights())
        keep = kept[:, step].split(5, dim=-1)
        state = tuple(k * a + (1 - k) * b for k, a, b in zip(keep, state, new, strict=True))
        outputs.append(state[0])
    return torch.stack(outputs, 1), state


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_outputs_states_and_gradients(training: bool, backend: str) -> None:
    layer = CompiledRNN(LSTM, 3, 5, backend=backend, zoneout=RATES).double().train(training)
    x = torch.randn(2, 7, 3, dtype=torch.float64, requires_grad=True)
    found = []
    for run in (layer, lambda x: restated(layer, x, training)):
        torch.manual_seed(3)
        outputs, last = run(x)
        total = outputs.square().sum() + sum(part.sum() for part in last)
        found.append([outputs, *last, *torch.autograd.grad(total, [x, *layer.parameters()])])
    torch.testing.assert_close(*found)


def test_weights_that_were_removed_stay_removed_in_training() -> None:
    layer = CompiledRNN(LSTM, 3, 5, zoneout=0.5)
    on_h = dict(layer.named_parameters())["on_h"]
    kept = torch.rand_like(on_h) < 0.5
    layer.keep_only(kept)
    layer(torch.randn(2, 7, 3))[0].sum().backward()
    assert on_h.grad is not None
    assert on_h.grad[~kept].abs().max() == 0
    assert on_h.grad[kept].abs().max() > 0


def test_layers_take_it_and_other_rates_are_refused() -> None:
    layer = Recurrent("gru", 3, 4, num_layers=2, zoneout=0.5)
    x = torch.randn(6, 2, 3)
    assert not torch.equal(layer(x)[0], layer(x)[0])
    assert torch.equal(layer.eval()(x)[0], layer(x)[0])
    with pytest.raises(
        ValueError, match=r"one rate, or 2 for the states, .* below 1: \(1.0, 0.5\)"
    ):
        CompiledRNN(LSTM, 3, 4, zoneout=(1.0, 0.5))
    with pytest.raises(ValueError, match="one rate, or 2"):
        CompiledRNN(LSTM, 3, 4, zoneout=(0.1,))
