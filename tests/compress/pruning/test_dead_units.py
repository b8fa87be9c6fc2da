"""Dead units are counted as the paper counts them."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from compress.pruning.dead_units import activation_rates, dead_rates
from kernels.cell.layer import CompiledRNN
from kernels.cell.spec import CellSpec
from kernels.cell.zoo import ZOO
from nas.models.cifar_resnet import resnet8


def test_rates_agree_with_a_calculation_by_hand() -> None:
    off = torch.tensor([[1, 1, 0], [1, 0, 0]]).bool()  # [examples, units]
    rates = dead_rates(off)
    assert (rates.total, rates.static) == (0.5, pytest.approx(1 / 3))
    assert rates.dynamic == pytest.approx(1 / 6)


def test_a_relu_is_off_at_zero_as_a_module_and_as_a_function() -> None:
    linear = nn.Linear(2, 3, bias=False)
    with torch.no_grad():
        linear.weight.copy_(torch.tensor([[1.0, 0], [0, 1], [-1, -1]]))
    x = torch.tensor([[1.0, 2], [1, -0.5]])  # the third unit is never on, the second once

    class Function(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = linear

        def forward(self, x):
            return functional.relu(self.linear(x))

    expected = dead_rates(torch.tensor([[0, 0, 1], [0, 1, 1]]).bool())
    for model in (nn.Sequential(linear, nn.ReLU()), Function()):
        assert activation_rates(model, x) == expected


@pytest.mark.parametrize(
    "model",
    [
        resnet8(),
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.GELU(), nn.Conv2d(4, 4, 3), nn.SiLU(), nn.Sigmoid()),
    ],
)
def test_static_and_dynamic_rates_add_up_to_the_total(model: nn.Module) -> None:
    torch.manual_seed(0)
    rates = activation_rates(model, torch.randn(5, 3, 12, 12))
    assert rates is not None
    assert rates.static + rates.dynamic == pytest.approx(rates.total)
    assert 0 <= rates.static <= rates.total < 1


@pytest.mark.parametrize("cell", ["rnn-tanh", "rnn-relu", "gru", "lstm"])
def test_each_step_of_a_cell_counts_as_an_example(cell: str) -> None:
    torch.manual_seed(0)
    rnn = CompiledRNN(CellSpec.from_recipe(ZOO[cell]), 3, 4, generator=torch.Generator())
    model = nn.Sequential(rnn)
    x = torch.randn(2, 5, 3)
    rates = activation_rates(model, x)
    assert rates is not None and rates.total == pytest.approx(rates.static + rates.dynamic)
    outputs, _ = rnn(x)
    if cell == "rnn-relu":
        assert rates.total == pytest.approx(float((outputs == 0).double().mean()))
    with torch.no_grad():
        rnn.bias.fill_(1e3)  # gates at 1, tanh far from 0
        rnn.on_x.zero_()
        rnn.on_h.zero_()
    saturated = activation_rates(model, x)
    gates = sum(node.op == "activation_sigm" for node in rnn.cell.nodes)
    activations = sum(node.op.startswith("activation_") for node in rnn.cell.nodes)
    assert saturated is not None
    assert saturated.static == pytest.approx(gates / activations)
    assert saturated.dynamic == pytest.approx(0)


def test_a_network_without_activations_has_no_rates() -> None:
    assert activation_rates(nn.Linear(2, 2), torch.randn(1, 2)) is None
