"""PyTorch's recurrent layers on compiled cells against PyTorch's own forward pass."""

import pickle
from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pack_sequence

from kernels.cell.cpu.sparse import SparseLoops
from kernels.cell.layer import read_what_is_left
from kernels.layers import TorchStack
from search_spaces.rnn_cell.torch_layers import compiled

KINDS = {
    "tanh": nn.RNN,
    "relu": lambda *sizes, **options: nn.RNN(*sizes, nonlinearity="relu", **options),
    "gru": nn.GRU,
    "lstm": nn.LSTM,
}


def pair(kind: str, *sizes: int, **options) -> tuple[nn.RNNBase, nn.RNNBase]:
    """PyTorch's layers, and a copy of them on cells."""
    torch.manual_seed(0)
    theirs = KINDS[kind](*sizes, **options)
    ours = compiled(deepcopy(theirs))
    assert isinstance(ours, TorchStack)
    return theirs, ours


def parts(answer) -> list[Tensor]:
    y, last = answer
    tensors = [y.data if isinstance(y, PackedSequence) else y]
    return [*tensors, *(last if isinstance(last, tuple) else (last,))]


def state_for(kind: str, *shape: int, **options) -> Tensor | tuple[Tensor, Tensor]:
    h = torch.randn(shape, **options)
    return (h, torch.randn(shape, **options)) if kind == "lstm" else h


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_outputs_states_and_gradients_are_pytorchs(
    kind: str, batch_first: bool, bidirectional: bool, bias: bool
) -> None:
    options = {"batch_first": batch_first, "bidirectional": bidirectional, "bias": bias}
    theirs, ours = pair(kind, 3, 5, num_layers=2, dtype=torch.double, **options)
    x = torch.randn(4, 6, 3, dtype=torch.double, requires_grad=True)
    rows = 4 if bidirectional else 2
    given = state_for(kind, rows, 4 if batch_first else 6, 5, dtype=torch.double)
    for start in (None, given):
        found = []
        for layers in (theirs, ours):
            answer = parts(layers(input=x, hx=start))
            total = sum(part.sin().sum() for part in answer)
            found.append([*answer, *torch.autograd.grad(total, [x, *layers.parameters()])])
        for a, b in zip(*found, strict=True):
            torch.testing.assert_close(b, a)
            assert a.shape == b.shape and a.dtype == b.dtype
    assert batch_first or ours(x)[0].is_contiguous()  # models take views of it


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bidirectional", [True, False])
def test_one_sequence_without_a_batch(kind: str, bidirectional: bool) -> None:
    theirs, ours = pair(kind, 3, 5, bidirectional=bidirectional, batch_first=True)
    x, given = torch.randn(6, 3), state_for(kind, 2 if bidirectional else 1, 5)
    for start in (None, given):
        for a, b in zip(parts(theirs(x, start)), parts(ours(x, start)), strict=True):
            torch.testing.assert_close(b, a)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("is_sorted", [True, False])
@pytest.mark.parametrize("with_state", [True, False])
def test_packed_sequences_come_back_packed_alike(
    kind: str, bidirectional: bool, is_sorted: bool, with_state: bool
) -> None:
    theirs, ours = pair(kind, 3, 5, num_layers=2, bidirectional=bidirectional)
    lengths = (6, 4, 4, 2) if is_sorted else (2, 4, 6, 4)
    x = pack_sequence([torch.randn(n, 3) for n in lengths], enforce_sorted=is_sorted)
    start = state_for(kind, 4 if bidirectional else 2, 4, 5) if with_state else None
    for a, b in zip(parts(theirs(x, start)), parts(ours(x, start)), strict=True):
        torch.testing.assert_close(b, a)
    packed = ours(x)[0]
    assert torch.equal(packed.batch_sizes, x.batch_sizes)
    for order, expected in zip(packed[2:], x[2:], strict=True):
        assert (order is None) == is_sorted and (is_sorted or torch.equal(order, expected))


def test_packed_sequences_carry_gradients() -> None:
    theirs, ours = pair("gru", 3, 5, bidirectional=True, batch_first=True)
    x = torch.randn(3, 6, 3, requires_grad=True)
    lengths = torch.tensor([6, 2, 4])
    found = []
    for layers in (theirs, ours):
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        total = sum(part.sin().sum() for part in parts(layers(packed)))
        found.append(torch.autograd.grad(total, [x, *layers.parameters()]))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(b, a)


@pytest.mark.parametrize("kind", ["gru", "lstm"])
def test_what_pytorch_refuses_is_refused(kind: str) -> None:
    _, ours = pair(kind, 3, 5, num_layers=2)
    x = torch.randn(6, 4, 3)
    for wrong in (torch.randn(6, 4, 2), torch.randn(6, 1, 4, 3), x.double(), x[:0]):
        with pytest.raises((RuntimeError, ValueError)):
            ours(wrong)
    for shape in ((4, 4, 5), (2, 6, 5), (2, 5)):  # too many layers, another batch, no batch
        with pytest.raises(RuntimeError, match=r"Expected hidden|should also be 3-D"):
            ours(x, state_for(kind, *shape))
    assert ours(x[:, :0])[0].shape == (6, 0, 5)  # a batch of none is fine


def test_dropout_between_layers_is_that_of_training() -> None:
    _, ours = pair("gru", 3, 5, num_layers=2, dropout=0.5)
    x = torch.randn(6, 4, 3)
    assert not torch.equal(ours(x)[0], ours(x)[0])
    assert torch.equal(ours.eval()(x)[0], ours(x)[0])
    assert not torch.equal(ours.train()(x)[0], ours(x)[0])
    ours.dropout = 1.0  # the second layer reads zeros, whatever x is
    assert torch.equal(ours(x)[0], ours(x + 1)[0]) and ours(x)[0].any()


@pytest.mark.parametrize("kind", KINDS)
def test_autocast_is_right_to_its_own_rounding(kind: str) -> None:
    theirs, ours = pair(kind, 3, 5, num_layers=2)
    x = torch.randn(6, 4, 3)
    expected = theirs(x)[0]
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(ours(x)[0], expected)
        rounded = ours(x.bfloat16())[0]
        ours(x)[0].sum().backward()
    assert rounded.dtype == torch.bfloat16
    torch.testing.assert_close(rounded.float(), expected, rtol=0.05, atol=0.02)
    expected.sum().backward()
    torch.testing.assert_close(ours.weight_hh_l0.grad, theirs.weight_hh_l0.grad)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_layers_can_be_converted(dtype: torch.dtype) -> None:
    theirs, ours = pair("lstm", 3, 5)
    x = torch.randn(6, 4, 3)
    y, (h, c) = ours.to(dtype)(x.to(dtype))
    assert y.dtype == h.dtype == c.dtype == ours.weight_hh_l0.dtype == dtype
    torch.testing.assert_close(y.float(), theirs(x)[0], rtol=0.05, atol=0.02)


def test_weights_are_loaded_assigned_and_drawn_as_before() -> None:
    theirs, ours = pair("lstm", 3, 5, num_layers=2, bidirectional=True)
    x, other = torch.randn(6, 4, 3), nn.LSTM(3, 5, num_layers=2, bidirectional=True)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(other.state_dict())
    torch.testing.assert_close(ours(x)[0], other(x)[0])
    theirs.load_state_dict(ours.state_dict())
    torch.testing.assert_close(ours(x)[0], theirs(x)[0])
    ours.reset_parameters()
    assert not torch.allclose(ours(x)[0], theirs(x)[0])
    ours.load_state_dict(other.state_dict(), assign=True)
    torch.testing.assert_close(ours(x)[0], other(x)[0])
    assert ours.weight_hh_l0.data_ptr() == other.weight_hh_l0.data_ptr()
    called = torch.func.functional_call(ours, dict(theirs.named_parameters()), (x,))[0]
    torch.testing.assert_close(called, theirs(x)[0])


def pruned(kind: str, share: float = 0.3, **options) -> tuple[nn.RNNBase, nn.RNNBase]:
    """PyTorch's layers with few recurrent weights, and those on cells that read what is left."""
    theirs, _ = pair(kind, 3, 20, **options)
    with torch.no_grad():
        for name, weight in theirs.named_parameters():
            if name.startswith("weight_hh"):
                weight.mul_(torch.rand_like(weight) < share)
    ours = compiled(deepcopy(theirs))
    read_what_is_left(ours)
    return theirs, ours


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batch", [1, 5])
def test_reading_what_is_left_gives_the_same_numbers(kind: str, batch: int) -> None:
    theirs, ours = pruned(kind, num_layers=2, bidirectional=True)
    assert set(ours.left) == {"_l0", "_l0_reverse", "_l1", "_l1_reverse"}
    assert all(isinstance(left.plan.loops, SparseLoops) for left in ours.left.values())
    x = torch.randn(6, batch, 3)
    for _ in range(2):
        for a, b in zip(parts(theirs(x)), parts(ours(x)), strict=True):
            torch.testing.assert_close(b, a, rtol=1e-4, atol=1e-5)
        with torch.no_grad():
            for layers in (theirs, ours):  # the second time with other weights
                layers.weight_hh_l0.mul_(2)


def test_removed_weights_stay_removed_in_training_and_in_copies() -> None:
    _, ours = pruned("lstm")
    removed = ours.weight_hh_l0.detach() == 0
    for layers in (ours, deepcopy(ours), pickle.loads(pickle.dumps(ours))):
        layers.backend = "auto" if layers is ours else "reference"
        optimizer = torch.optim.Adam(layers.parameters(), 0.1, weight_decay=0.1)
        layers(torch.randn(6, 2, 3))[0].sum().backward()
        optimizer.step()
        assert not layers.weight_hh_l0[removed].any() and layers.weight_hh_l0[~removed].any()


def test_frozen_weights_can_be_read_as_lists_and_thawed() -> None:
    theirs, _ = pruned("gru")
    ours = compiled(deepcopy(theirs).requires_grad_(False))
    read_what_is_left(ours)
    x = torch.randn(6, 2, 3)
    assert not ours(x)[0].requires_grad
    ours.requires_grad_(True)(x)[0].sum().backward()
    assert not ours.weight_hh_l0.grad[theirs.weight_hh_l0 == 0].any()


def test_copies_compute_the_same() -> None:
    _, ours = pair("gru", 3, 5)
    x = torch.randn(6, 4, 3)
    for layers in (deepcopy(ours), pickle.loads(pickle.dumps(ours))):
        assert type(layers) is type(ours) and torch.equal(layers(x)[0], ours(x)[0])
        assert layers.weight_hh_l0 is not ours.weight_hh_l0
