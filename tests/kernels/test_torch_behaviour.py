"""What PyTorch's recurrent layers take, return and refuse, ours take, return and refuse."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import (
    PackedSequence,
    pack_padded_sequence,
    pack_sequence,
    pad_packed_sequence,
)

from kernels import layers

C, H, B, T = 3, 5, 4, 6


def x(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def packed(lengths: list[int], **options: bool) -> PackedSequence:
    return pack_sequence([x(n, C) for n in lengths], **options)


def made(name: str, *sizes: int, **options: Any) -> Callable[[Any], nn.RNNBase]:
    """Return a function that makes a layer of a package, with the same weights."""

    def make(package: Any) -> nn.RNNBase:
        torch.manual_seed(0)
        return getattr(package, name)(*(sizes or (C, H)), **options)

    return make


def pair(size: int = H, layers: int = 1, batch: int = B) -> tuple[Tensor, Tensor]:
    return x(layers, batch, size), x(layers, batch, H)


# name: how the layer is made, and what is asked of it
ANSWERS: dict[str, tuple[Callable[[Any], nn.RNNBase], Callable[[Any], Any]]] = {
    "time first": (made("LSTM"), lambda rnn: rnn(x(T, B, C))),
    "batch first": (made("GRU", batch_first=True), lambda rnn: rnn(x(B, T, C))),
    "no batch": (made("LSTM"), lambda rnn: rnn(x(T, C))),
    "no batch, batch first": (made("GRU", batch_first=True), lambda rnn: rnn(x(T, C))),
    "no batch, with states": (made("GRU"), lambda rnn: rnn(x(T, C), x(1, H))),
    "no batch, both directions": (made("LSTM", bidirectional=True), lambda rnn: rnn(x(T, C))),
    "one step": (made("LSTM"), lambda rnn: rnn(x(1, B, C))),
    "an empty batch": (made("GRU"), lambda rnn: rnn(x(T, 0, C))),
    "states given": (made("LSTM"), lambda rnn: rnn(x(T, B, C), pair())),
    "states as a list": (made("LSTM"), lambda rnn: rnn(x(T, B, C), list(pair()))),
    "states of a GRU": (made("GRU"), lambda rnn: rnn(x(T, B, C), x(1, B, H))),
    "three layers": (made("LSTM", C, H, 3), lambda rnn: rnn(x(T, B, C), pair(layers=3))),
    "both directions": (
        made("GRU", C, H, 2, bidirectional=True),
        lambda rnn: rnn(x(T, B, C), x(4, B, H)),
    ),
    "without biases": (made("LSTM", bias=False), lambda rnn: rnn(x(T, B, C))),
    "a ReLU": (made("RNN", nonlinearity="relu"), lambda rnn: rnn(x(T, B, C))),
    "projections": (made("LSTM", proj_size=2), lambda rnn: rnn(x(T, B, C))),
    "projections, with states": (
        made("LSTM", proj_size=2),
        lambda rnn: rnn(x(T, B, C), pair(2)),
    ),
    "projections, both directions": (
        made("LSTM", C, H, 2, proj_size=2, bidirectional=True),
        lambda rnn: rnn(x(T, B, C), pair(2, layers=4)),
    ),
    "projections, packed": (
        made("LSTM", proj_size=2),
        lambda rnn: rnn(packed([2, 6, 3, 1], enforce_sorted=False), pair(2)),
    ),
    "packed, sorted": (made("LSTM"), lambda rnn: rnn(packed([6, 3, 3, 1]))),
    "packed, in any order": (
        made("GRU"),
        lambda rnn: rnn(packed([1, 6, 3], enforce_sorted=False), x(1, 3, H)),
    ),
    "packed, both directions": (
        made("LSTM", C, H, 2, bidirectional=True),
        lambda rnn: rnn(packed([1, 6, 3], enforce_sorted=False)),
    ),
    "packed and padded again": (
        made("LSTM"),
        lambda rnn: pad_packed_sequence(
            rnn(pack_padded_sequence(x(T, 3, C), [6, 4, 2]))[0], total_length=8
        ),
    ),
    "keyword arguments": (made("LSTM"), lambda rnn: rnn(input=x(T, B, C), hx=pair())),
    "float64": (made("LSTM", dtype=torch.float64), lambda rnn: rnn(x(T, B, C).double())),
    "names of the weights": (
        made("LSTM", C, H, 2, bidirectional=True, proj_size=2),
        lambda rnn: [*rnn.state_dict().values()],
    ),
    "an expanded input": (made("GRU"), lambda rnn: rnn(x(T, 1, C).expand(T, B, C))),
    "no dropout in evaluation": (
        made("LSTM", C, H, 2, dropout=0.5),
        lambda rnn: rnn.eval()(x(T, B, C)),
    ),
    "a copy": (made("LSTM"), lambda rnn: copy.deepcopy(rnn)(x(T, B, C))),
    "meta": (made("GRU", device="meta"), lambda rnn: rnn.weight_hh_l0),
}

REFUSALS: dict[str, tuple[Callable[[Any], nn.RNNBase], Callable[[Any], Any]]] = {
    "other features": (made("LSTM"), lambda rnn: rnn(x(T, B, C + 1))),
    "four dimensions": (made("GRU"), lambda rnn: rnn(x(1, T, B, C))),
    "no steps": (made("LSTM"), lambda rnn: rnn(x(0, B, C))),
    "another type": (made("GRU"), lambda rnn: rnn(x(T, B, C).double())),
    "states of another batch": (made("LSTM"), lambda rnn: rnn(x(T, B, C), pair(batch=2))),
    "states of more layers": (made("GRU"), lambda rnn: rnn(x(T, B, C), x(2, B, H))),
    "states without a batch": (made("GRU"), lambda rnn: rnn(x(T, B, C), x(1, H))),
    "states with a batch": (made("GRU"), lambda rnn: rnn(x(T, C), x(1, 1, H))),
    "full states with projections": (
        made("LSTM", proj_size=2),
        lambda rnn: rnn(x(T, B, C), pair()),
    ),
    "packed, other states": (
        made("LSTM"),
        lambda rnn: rnn(packed([3, 2]), pair()),
    ),
    "large projections": (made("LSTM", proj_size=H), lambda rnn: rnn),
    "projections of a GRU": (made("GRU", proj_size=2), lambda rnn: rnn),
    "an unknown activation": (made("RNN", nonlinearity="cosine"), lambda rnn: rnn),
    "dropout above 1": (made("LSTM", C, H, 2, dropout=1.5), lambda rnn: rnn),
}


def tensors(answer: Any) -> list[Tensor]:
    """Return all tensors of an answer, in order."""
    if answer is None:
        return []
    return [answer] if isinstance(answer, Tensor) else [t for a in answer for t in tensors(a)]


@pytest.mark.filterwarnings("ignore:LSTM with projections")
@pytest.mark.parametrize("name", ANSWERS)
def test_the_answer_is_pytorchs(name: str) -> None:
    make, ask = ANSWERS[name]
    theirs, ours = (tensors(ask(make(package))) for package in (nn, layers))
    assert len(theirs) == len(ours)
    for a, b in zip(theirs, ours, strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype and a.device == b.device
        if a.device.type != "meta":
            torch.testing.assert_close(b, a)


@pytest.mark.parametrize("name", REFUSALS)
def test_what_pytorch_refuses_is_refused(name: str) -> None:
    make, ask = REFUSALS[name]
    raised = []
    for package in (nn, layers):
        with pytest.raises((RuntimeError, ValueError, TypeError)) as error:
            ask(make(package))
        raised.append(error)
    assert "\n" not in str(raised[1].value)
    if name != "no steps":  # theirs is a RuntimeError from deep inside
        assert raised[0].type is raised[1].type
