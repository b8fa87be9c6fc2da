"""Dead units: how often a network's activations are off, and how many units never turn on."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from kernels.cell.layer import CompiledRNN
from kernels.cell.reference import reference_rnn

SATURATED = 0.05  # a gate this close to 0 or 1 is off
EPSILON = 0.01  # any other activation is off below this share of its root mean square

RELU = (torch.relu, torch.relu_, functional.relu, functional.relu_, functional.relu6)
GATES = (torch.sigmoid, torch.sigmoid_, functional.hardsigmoid)
OTHERS = (
    *(torch.tanh, torch.tanh_, functional.tanh, functional.leaky_relu, functional.elu),
    *(functional.gelu, functional.silu, functional.mish, functional.hardswish),
)


@dataclass(frozen=True, slots=True)
class DeadRates:
    """Shares of (unit, example) pairs in which the unit is off.

    static: from units that are off for every example.
    dynamic: from all other units; static and dynamic add up to the total.
    """

    total: float
    static: float
    dynamic: float


def dead_rates(off: Tensor) -> DeadRates:
    """Return the rates of `off`, booleans `[examples, units]`.

    Liu et al. 2022, https://arxiv.org/abs/2212.06145, section 3.
    """
    total = float(off.double().mean())
    static = float(off.all(0).double().mean())
    return DeadRates(total, static, total - static)


def activation_rates(model: nn.Module, inputs: Tensor) -> DeadRates | None:
    """Return the rates over all activations of a network, or None if it has none.

    inputs: as the model takes them; each step of a sequence counts as an example.
    A ReLU is off at 0, a sigmoid gate within 0.05 of 0 or 1, and any other activation when its size
    is below 0.01 of the unit's root mean square. A convolution has one unit per channel and place.
    """
    watch = _Watch()
    with torch.no_grad(), _cells_watched(model, watch), watch:
        model.eval()
        model(inputs)
    off = [_off(kind, torch.cat(values)) for (*_, kind), values in watch.seen.items()]
    if not off:
        return None
    counts = torch.tensor([x.numel() for x in off], dtype=torch.double)
    rates = [dead_rates(x) for x in off]
    share = (counts / counts.sum()).tolist()
    total = sum(s * r.total for s, r in zip(share, rates, strict=True))
    static = sum(s * r.static for s, r in zip(share, rates, strict=True))
    return DeadRates(total, static, total - static)


def _off(kind: str, values: Tensor) -> Tensor:
    """Return where activations `[examples, units]` are off."""
    match kind:
        case "relu":
            return values == 0
        case "gate":
            return (values < SATURATED) | (values > 1 - SATURATED)
        case _:
            return values.abs() < EPSILON * values.square().mean(0, keepdim=True).sqrt()


class _Watch(TorchFunctionMode):
    """Records the results of activation functions, call by call.

    seen: values `[examples, units]` by source; the last part of the key is the kind.
    in_a_cell: whether a cell is running; cells record their own activations.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[Any, list[Tensor]] = {}
        self.in_a_cell = False

    def __torch_function__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for kind, functions in (("relu", RELU), ("gate", GATES), ("other", OTHERS)):
            if function in functions and not self.in_a_cell:
                self.seen[(len(self.seen), kind)] = [result.detach().flatten(1)]
        return result


@contextmanager
def _cells_watched(model: nn.Module, watch: _Watch) -> Iterator[None]:
    """Run cells step by step in this context and record their activations, one entry per node."""
    layers = [m for m in model.modules() if isinstance(m, CompiledRNN)]
    for i, layer in enumerate(layers):
        layer.__dict__["forward"] = partial(_run_watched, layer, i, watch)
    try:
        yield
    finally:
        for layer in layers:
            del layer.__dict__["forward"]


def _run_watched(
    layer: CompiledRNN, number: int, watch: _Watch, x: Tensor, state=None, lengths=None
):
    kinds = {"activation_relu": "relu", "activation_sigm": "gate", "activation_hard_sigm": "gate"}

    def note(values: list[Tensor]) -> None:
        for k, node in enumerate(layer.cell.nodes):
            if node.op.startswith("activation_"):
                key = (number, k, kinds.get(node.op, "other"))
                watch.seen.setdefault(key, []).append(values[layer.cell.states + 1 + k])

    state = layer.initial_state(len(x), x) if state is None else state
    watch.in_a_cell = True
    try:
        return reference_rnn(layer.cell, x, state, layer.weights(), lengths, watch=note)
    finally:
        watch.in_a_cell = False
