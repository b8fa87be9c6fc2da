"""What our layers do beyond PyTorch's: any cell, lengths, resets, single steps, carried states."""

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from kernels.cell.layer import set_backend
from kernels.layers import GRU, LSTM, Recurrent

B, T, C, H = 4, 7, 3, 6
LENGTHS = torch.tensor([3, 7, 0, 5])
BACKENDS = ["auto", "reference"]


def layer(kind: str, backend: str = "auto", **options) -> LSTM | GRU | Recurrent:
    torch.manual_seed(0)
    make = {"lstm": LSTM, "gru": GRU}.get(kind)
    rnn = (
        Recurrent(kind, C, H, batch_first=True, **options)
        if make is None
        else make(C, H, batch_first=True, **options)
    ).double()
    set_backend(rnn, backend)
    return rnn


def given(count: int, layers: int = 1) -> tuple[Tensor, ...]:
    return tuple(torch.randn(layers, B, H, dtype=torch.double) for _ in range(count))


def parts(answer) -> list[Tensor]:
    y, last = answer
    return [y, *(last if isinstance(last, tuple) else (last,))]


def close(a, b) -> None:
    for left, right in zip(parts(a), parts(b), strict=True):
        torch.testing.assert_close(left, right, rtol=0, atol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_lengths_do_what_packing_does(backend: str, bidirectional: bool) -> None:
    rnn = layer("lstm", backend, num_layers=2, bidirectional=bidirectional)
    x, states = torch.randn(B, T, C).double(), given(2, 4 if bidirectional else 2)
    y, last = rnn(x, states, lengths=LENGTHS)
    some = [0, 1, 3]  # a PackedSequence has no empty sequences
    packed = pack_padded_sequence(x[some], LENGTHS[some], True, enforce_sorted=False)
    expected, ended = rnn(packed, tuple(part[:, some] for part in states))
    padded, _ = pad_packed_sequence(expected, batch_first=True)
    close((y[some], tuple(part[:, some] for part in last)), (padded, ended))
    assert not y[2].any()
    assert all(torch.equal(a[:, 2], b[:, 2]) for a, b in zip(last, states, strict=True))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", ["lstm", "gru", "rhn"])
def test_resets_begin_again_with_zeros(kind: str, backend: str) -> None:
    rnn = layer(kind, backend, num_layers=2)
    x = torch.randn(B, T, C, dtype=torch.double, requires_grad=True)
    resets = torch.rand(B, T, generator=torch.Generator().manual_seed(3)) < 0.3
    resets[:2, 0], resets[2] = torch.tensor([True, False]), False
    states = given(2 if kind == "lstm" else 1, 2)
    found = [*rnn_answer(rnn, x, states, resets), *stepped(rnn, x, states, resets)]
    for a, b in zip(found[:3], found[3:], strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


def rnn_answer(rnn, x: Tensor, states, resets: Tensor) -> list[Tensor]:
    y, last = parts(rnn(x, states if len(states) > 1 else states[0], resets=resets))[:2]
    return [y, last, *torch.autograd.grad(y.sin().sum() + last.sum(), [x])]


def stepped(rnn, x: Tensor, states, resets: Tensor) -> list[Tensor]:
    """Return the same, step by step, with the states set to zero by hand."""
    outputs = []
    for t in range(T):
        states = tuple(part * ~resets[:, t, None] for part in states)
        y, states = rnn.step(x[:, t], states if len(states) > 1 else states[0])
        states = states if isinstance(states, tuple) else (states,)
        outputs.append(y)
    y = torch.stack(outputs, dim=1)
    return [y, states[0], *torch.autograd.grad(y.sin().sum() + states[0].sum(), [x])]


def test_resets_and_lengths_together() -> None:
    rnn, x = layer("gru"), torch.randn(B, T, C).double()
    resets = torch.zeros(B, T, dtype=torch.bool)
    resets[1, 4] = resets[0, 5] = True  # the second lies behind the end
    y, last = rnn(x, lengths=LENGTHS, resets=resets)
    close((y[1:2, 4:], last[:, 1:2]), rnn(x[1:2, 4:]))
    close((y[:1, :3], last[:, :1]), rnn(x[:1, :3]))


def test_a_sequence_without_steps_keeps_its_state_also_with_projections() -> None:
    rnn = layer("lstm", proj_size=2)
    states = torch.randn(1, B, 2).double(), torch.randn(1, B, H).double()
    _, last = rnn(torch.randn(B, T, C).double(), states, lengths=LENGTHS)
    assert all(torch.equal(a[:, 2], b[:, 2]) for a, b in zip(last, states, strict=True))


def test_time_first_takes_resets_time_first() -> None:
    rnn, x = layer("gru"), torch.randn(B, T, C).double()
    resets = torch.rand(B, T) < 0.3
    y, last = rnn(x, resets=resets)
    rnn.batch_first = False
    turned, same = rnn(x.transpose(0, 1), resets=resets.T)
    close((turned.transpose(0, 1), same), (y, last))


@pytest.mark.parametrize("kind", ["lstm", "gru", "coupled-lstm"])
def test_a_carried_state_continues_a_sequence_and_can_be_cut_from_its_past(kind: str) -> None:
    rnn = layer(kind, num_layers=2)
    x = torch.randn(B, T, C).double()
    whole = rnn(x)
    first, states = rnn(x[:, :3])
    states = states.detach() if isinstance(states, Tensor) else [s.detach() for s in states]
    second, last = rnn(x[:, 3:], states)
    close((torch.cat([first, second], dim=1), last), whole)


def test_any_cell_is_a_stack_of_layers_with_heads_and_directions() -> None:
    rnn = layer("coupled-lstm", num_layers=2, bidirectional=True, num_heads=2)
    y, (h, c) = rnn(torch.randn(B, T, C).double(), lengths=LENGTHS)
    assert y.shape == (B, T, 2 * H) and h.shape == c.shape == (4, B, H)
    torch.testing.assert_close(y[1, -1, :H], h[2, 1])
    torch.testing.assert_close(y[1, 0, H:], h[3, 1])
    assert rnn.state_dict()["layers.2.on_h"].shape == (3, 2, H // 2, H // 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda rnn, x: rnn(x, lengths=torch.tensor([8, 1, 1, 1])), "numbers from 0 to 7"),
        (lambda rnn, x: rnn(x, lengths=torch.tensor([1])), "lengths must be 4 numbers"),
        (lambda rnn, x: rnn(x, resets=torch.zeros(7, 4)), "for 4 sequences of 7 steps"),
        (lambda rnn, x: rnn(x[0], lengths=torch.tensor([1])), "a single sequence takes no"),
        (lambda rnn, x: rnn(x, [torch.zeros(1, B, H)] * 2), "hx has 2 tensors, expected 1"),
    ],
)
def test_what_does_not_fit_is_named(call, message: str) -> None:
    with pytest.raises((ValueError, RuntimeError), match=message):
        call(layer("gru"), torch.randn(B, T, C).double())


def test_resets_of_both_directions_and_unknown_cells_are_refused() -> None:
    rnn = layer("gru", bidirectional=True)
    with pytest.raises(ValueError, match="resets go forward in time"):
        rnn(torch.randn(B, T, C).double(), resets=torch.ones(B, T, dtype=torch.bool))
    with pytest.raises(ValueError, match='no cell "lstn"; available: rnn-tanh'):
        Recurrent("lstn", C, H)
