"""Layers in models that are compiled, exported, cast automatically, or differentiated twice."""

import pytest
import torch
import torch._dynamo
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

from kernels.cell.layer import set_backend
from kernels.layers import GRU, LSTM, Recurrent

B, T, C, H = 2, 4, 3, 5
KINDS = {
    "lstm": lambda: LSTM(C, H, 2, batch_first=True, bidirectional=True),
    "gru": lambda: GRU(C, H),
    "any cell": lambda: Recurrent("coupled-lstm", C, 6, batch_first=True, num_heads=2),
}


class Model(nn.Module):
    """A user's model around a layer."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.before = nn.Linear(C, C)
        self.rnn = KINDS[kind]()

    def forward(self, x, lengths=None):
        y, last = self.rnn(self.before(x).relu(), lengths=lengths)
        return y.tanh(), last


def answers(model, *arguments, differentiable: bool = True) -> list[torch.Tensor]:
    y, last = model(*arguments)
    parts = [y, *(last if isinstance(last, tuple) else (last,))]
    if not differentiable:
        return parts
    weights = list(model.parameters())
    return parts + list(torch.autograd.grad(sum(p.sin().sum() for p in parts), weights))


@torch._dynamo.config.patch(allow_rnn=True)  # without it, graphs end before subclasses of nn.LSTM
@pytest.mark.parametrize("kind", KINDS)
def test_a_compiled_model_computes_the_same_in_one_graph(kind: str) -> None:
    model, x = Model(kind), torch.randn(B, T, C)
    torch._dynamo.reset()
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    for a, b in zip(answers(model, x), answers(compiled, x), strict=True):
        torch.testing.assert_close(b, a)
    with torch.no_grad():
        found = [answers(m, x, differentiable=False) for m in (model, compiled)]
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(b, a)


def test_a_compiled_model_takes_sequences_of_different_lengths() -> None:
    model, x = Model("lstm"), torch.randn(B, T, C)
    torch._dynamo.reset()
    compiled = torch.compile(model, backend="aot_eager")
    lengths = torch.tensor([2, 4])
    for a, b in zip(answers(model, x, lengths), answers(compiled, x, lengths), strict=True):
        torch.testing.assert_close(b, a)


@pytest.mark.parametrize("kind", KINDS)
def test_an_exported_model_needs_nothing_of_ours(kind: str) -> None:
    model, x = Model(kind).eval(), torch.randn(B, T, C)
    program = torch.export.export(model, (x,))
    assert "nas" not in str(program.graph)
    for a, b in zip(
        answers(model, x, differentiable=False),
        answers(program.module(), x, differentiable=False),
        strict=True,
    ):
        torch.testing.assert_close(b, a)


def test_second_derivatives_are_refused_in_one_line_and_work_on_the_reference() -> None:
    rnn, x = LSTM(C, H), torch.randn(T, B, C, requires_grad=True)
    (first,) = torch.autograd.grad(rnn(x)[0].sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="no second derivatives") as error:
        first.square().sum().backward()
    assert "\n" not in str(error.value)
    set_backend(rnn, "reference")
    (first,) = torch.autograd.grad(rnn(x)[0].sum(), x, create_graph=True)
    first.square().sum().backward()
    assert rnn.weight_hh_l0.grad.any()


def test_transforms_are_refused_in_one_line_and_work_on_the_reference() -> None:
    rnn, x = GRU(C, H), torch.randn(3, T, B, C)
    with pytest.raises(RuntimeError, match="run neither in vmap nor") as error:
        torch.vmap(lambda part: rnn(part)[0])(x)
    assert "\n" not in str(error.value)
    expected = torch.stack([rnn(part)[0] for part in x])
    set_backend(rnn, "reference")
    torch.testing.assert_close(torch.vmap(lambda part: rnn(part)[0])(x), expected)


@pytest.mark.parametrize("packs", [False, True])
def test_autocast_trains_and_returns_the_type_of_the_input(packs: bool) -> None:
    rnn, x = LSTM(C, H, batch_first=True), torch.randn(B, T, C).bfloat16()
    exact, _ = rnn(x.float())
    with torch.autocast("cpu", torch.bfloat16):
        if packs:
            packed = pack_padded_sequence(x, [T] * B, batch_first=True)
            y = rnn(packed)[0].data.unflatten(0, (T, B)).transpose(0, 1)
        else:
            y, _ = rnn(x)
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y.float(), exact, rtol=0.02, atol=0.01)
    y.float().sum().backward()
    assert rnn.weight_hh_l0.grad.dtype == torch.float32
