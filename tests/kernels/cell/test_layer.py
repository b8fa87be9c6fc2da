"""A layer of any cell agrees with its definition and with torch's layers."""

import pytest
import torch
from torch import nn

from kernels.cell.layer import CompiledRNN
from kernels.cell.spec import CellSpec
from kernels.cell.zoo import ZOO

CELLS = {name: CellSpec.from_recipe(recipe) for name, recipe in ZOO.items()}


def layer(name: str, inputs: int = 3, hidden: int = 5, **options) -> CompiledRNN:
    made = CompiledRNN(CELLS[name], inputs, hidden, generator=torch.Generator().manual_seed(0))
    made.weight_drop = options.get("weight_drop", 0.0)
    return made.double()


def test_the_lstm_of_the_zoo_agrees_with_torchs() -> None:
    ours, theirs = layer("lstm"), nn.LSTM(3, 5, batch_first=True).double()
    order = {0: 0, 1: 1, 2: 3, 3: 2}  # ours: input, forget, output, new; theirs: i, f, g, o
    with torch.no_grad():
        theirs.bias_hh_l0.zero_()
        for ours_gate, gate in order.items():
            rows = slice(5 * gate, 5 * gate + 5)
            theirs.weight_ih_l0[rows] = ours.on_x[ours_gate]
            theirs.weight_hh_l0[rows] = ours.on_h[ours_gate, 0]
            theirs.bias_ih_l0[rows] = ours.bias[ours_gate]
    x, h, c = (torch.randn(shape, dtype=torch.float64) for shape in ((2, 7, 3), (2, 5), (2, 5)))
    expected, (last_h, last_c) = theirs(x, (h[None], c[None]))
    outputs, state = ours(x, (h, c))
    torch.testing.assert_close(outputs, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(state, (last_h[0], last_c[0]), rtol=0, atol=1e-12)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_the_elman_cells_agree_with_torchs(activation: str) -> None:
    ours = layer(f"rnn-{activation}")
    theirs = nn.RNN(3, 5, nonlinearity=activation, batch_first=True).double()
    with torch.no_grad():
        theirs.bias_hh_l0.zero_()
        theirs.bias_ih_l0.copy_(ours.bias[0])
        theirs.weight_ih_l0.copy_(ours.on_x[0])
        theirs.weight_hh_l0.copy_(ours.on_h[0, 0])
    x = torch.randn(2, 7, 3, dtype=torch.float64)
    torch.testing.assert_close(ours(x)[0], theirs(x)[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ZOO)
def test_the_state_is_frozen_after_a_sequence_ends(name: str) -> None:
    rnn, x = layer(name), torch.randn(3, 6, 3, dtype=torch.float64)
    outputs, state = rnn(x, lengths=torch.tensor([6, 4, 0]))
    _, after_four = rnn(x[1:2, :4])
    for whole, part in zip(state, after_four, strict=True):
        torch.testing.assert_close(whole[1:2], part)
        assert not whole[2].any()
    assert torch.equal(outputs[1, 3], outputs[1, 5])


def test_a_sequence_in_two_pieces_gives_the_same_outputs() -> None:
    rnn, x = layer("gru"), torch.randn(2, 6, 3, dtype=torch.float64)
    whole, last = rnn(x)
    first, state = rnn(x[:, :2])
    second, end = rnn(x[:, 2:], state)
    torch.testing.assert_close(torch.cat([first, second], dim=1), whole)
    torch.testing.assert_close(end, last)


def test_weight_drop_spares_the_weights_on_x_and_keeps_gradients() -> None:
    rnn = layer("lstm", weight_drop=0.5)
    weights = rnn.weights()
    assert (weights.on_x != 0).all()
    assert (weights.on_h == 0).any()
    rnn(torch.randn(2, 4, 3, dtype=torch.float64))[0].sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in rnn.parameters())
    rnn.eval()
    assert (rnn.weights().on_h != 0).all()


@pytest.mark.parametrize("name", ZOO)
def test_gradients_agree_with_finite_differences(name: str) -> None:
    rnn = layer(name, 2, 3)
    x = torch.randn(2, 3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: rnn(x)[0], (x,))


def test_sizes_that_do_not_match_are_named() -> None:
    rnn = layer("lstm")
    with pytest.raises(ValueError, match=r"x is \(2, 7, 4\), expected \[B, T, 3\]"):
        rnn(torch.zeros(2, 7, 4))
    with pytest.raises(ValueError, match=r"expected 2 tensors of \(2, 5\)"):
        rnn(torch.zeros(2, 7, 3), (torch.zeros(2, 5),))


def test_an_unknown_backend_is_named() -> None:
    with pytest.raises(ValueError, match='unknown kernels "tpu"'):
        CompiledRNN(CELLS["lstm"], 3, 5, backend="tpu")
