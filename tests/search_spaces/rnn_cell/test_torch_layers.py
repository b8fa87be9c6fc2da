"""Compiled cells agree with the PyTorch layers that they replace."""

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_sequence, pad_packed_sequence

from kernels.cell.layer import CompiledRNN, read_what_is_left
from nas.models.recurrent_classifier import lstm_classifier
from search_spaces.rnn_cell.torch_layers import CompiledLayers, compiled

KINDS = {
    "tanh": nn.RNN,
    "relu": lambda *sizes, **options: nn.RNN(*sizes, nonlinearity="relu", **options),
    "gru": nn.GRU,
    "lstm": nn.LSTM,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_outputs_states_and_gradients_equal_pytorchs(
    kind: str, batch_first: bool, bidirectional: bool, bias: bool
) -> None:
    torch.manual_seed(0)
    options = {"batch_first": batch_first, "bidirectional": bidirectional, "bias": bias}
    theirs = KINDS[kind](3, 5, num_layers=2, **options).double()
    x = torch.randn(4, 6, 3, dtype=torch.double, requires_grad=True)
    batch = 4 if batch_first else 6
    shape = (4 if bidirectional else 2, batch, 5)
    state = torch.randn(shape, dtype=torch.double)
    given = (state, torch.randn(shape, dtype=torch.double)) if kind == "lstm" else state
    found = []
    for layers in (theirs, CompiledLayers(theirs)):
        for start in (None, given):
            y, last = layers(x, start)
            parts = last if isinstance(last, tuple) else (last,)
            total = y.sin().sum() + sum(part.square().sum() for part in parts)
            found.append([y, *parts, *torch.autograd.grad(total, x)])
    for expected, ours in zip(found[:2], found[2:], strict=True):
        for a, b in zip(ours, expected, strict=True):
            torch.testing.assert_close(a, b)


def test_replaced_layers_read_only_the_weights_left() -> None:
    torch.manual_seed(0)
    model = lstm_classifier(classes=4, channels=3, hidden=16).eval()
    with torch.no_grad():
        model.recurrent.weight_hh_l0.mul_(torch.rand(64, 16) < 0.2)
    x = torch.randn(2, 7, 3)
    expected = model(x)
    faster = compiled(model)
    read_what_is_left(faster)
    torch.testing.assert_close(faster(x), expected)
    cells = [m for m in faster.modules() if isinstance(m, CompiledRNN)]
    assert len(cells) == 2 and cells[0].mask is not None and cells[0].mask.float().mean() < 0.3
    assert not any(isinstance(m, nn.RNNBase) for m in faster.modules())


@pytest.mark.parametrize("kind", ["gru", "lstm"])
@pytest.mark.parametrize("bidirectional", [True, False])
def test_packed_sequences_end_at_their_lengths(kind: str, bidirectional: bool) -> None:
    torch.manual_seed(0)
    theirs = KINDS[kind](3, 5, num_layers=2, bidirectional=bidirectional)
    packed = pack_sequence([torch.randn(n, 3) for n in (2, 6, 4)], enforce_sorted=False)
    expected, ours = theirs(packed), CompiledLayers(theirs)(packed)
    torch.testing.assert_close(pad_packed_sequence(ours[0]), pad_packed_sequence(expected[0]))
    torch.testing.assert_close(ours[1], expected[1])


def test_replaced_layers_have_the_size_attributes() -> None:
    layers = nn.LSTM(3, 5, num_layers=2, batch_first=True)
    ours = compiled(layers)
    ours.flatten_parameters()
    asked = ("mode", "input_size", "hidden_size", "num_layers", "batch_first", "bidirectional")
    assert [getattr(ours, n) for n in asked] == [getattr(layers, n) for n in asked]


def test_dropout_between_layers_applies_only_in_training() -> None:
    layers = CompiledLayers(nn.GRU(3, 5, num_layers=2, dropout=0.5))
    x = torch.randn(6, 4, 3)
    assert not torch.equal(layers(x)[0], layers(x)[0])
    layers.eval()
    assert torch.equal(layers(x)[0], layers(x)[0])


def test_layers_without_a_compiled_cell_stay_or_are_refused() -> None:
    projected = nn.LSTM(3, 5, proj_size=2)
    assert compiled(projected) is projected
    with pytest.raises(ValueError, match="with proj_size"):
        CompiledLayers(projected)
