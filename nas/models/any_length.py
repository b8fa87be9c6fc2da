"""Recurrent layers that PyTorch's exporter traces once, for sequences of any length."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch._C import DispatchKey
from torch._decomp import decomposition_table
from torch._higher_order_ops.scan import scan

from kernels.cell.layer import CompiledRNN, on_reference
from kernels.cell.reference import reference_step
from kernels.cell.weights import Weights
from kernels.mixer.layer import MixerLayer

# ONNX has an operator for the first two; the others are unrolled there, whatever we do
WITH_ONNX_OPERATOR = ("lstm", "gru")
RECURRENT = (*WITH_ONNX_OPERATOR, "rnn_tanh", "rnn_relu")


@contextmanager
def shapes_by_rule(names: Sequence[str]) -> Iterator[None]:
    """Within, tracers learn the shapes of these operators of PyTorch from a rule.

    They would otherwise run the operators step by step, which fixes the number of steps.
    """
    operators = [getattr(torch.ops.aten, name).input for name in names]
    tables: list[tuple[Any, Any]] = [(decomposition_table, operator) for operator in operators]
    tables += [(op.py_kernels, DispatchKey.CompositeImplicitAutograd) for op in operators]
    before = [table[key] for table, key in tables]
    _set(tables, [_shapes_of_recurrence] * len(tables))
    try:
        yield
    finally:
        _set(tables, before)


def _set(tables: list[tuple[Any, Any]], rules: Sequence[Callable]) -> None:
    for (table, key), rule in zip(tables, rules, strict=True):
        table[key] = rule
        if isinstance(key, torch._ops.OpOverload):
            key._dispatch_cache.clear()


def _shapes_of_recurrence(
    x: Tensor,
    initial: Any,
    _weights: Any,
    _biases: bool,
    _layers: int,
    _dropout: float,
    _train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[Tensor, ...]:
    """Return empty tensors in the shapes of the outputs and the last states."""
    states = initial if isinstance(initial, tuple | list) else [initial]
    width = states[0].shape[-1] * (2 if bidirectional else 1)
    outputs = x.new_empty((x.shape[0], x.shape[1], width))  # batch first or not
    assert isinstance(batch_first, bool)
    return outputs, *(torch.empty_like(state) for state in states)


@contextmanager
def cells_as_scans(model: nn.Module) -> Iterator[None]:
    """Within, compiled cells and recurrences run as one `scan` over the steps, which is traced
    without a loop."""
    cells = [module for module in model.modules() if isinstance(module, CompiledRNN)]
    with on_reference(model):
        for module in model.modules():
            if isinstance(module, MixerLayer):
                module.backend = "scan"
        for cell in cells:
            cell.forward = partial(_scanned, cell)  # type: ignore[method-assign]
        try:
            yield
        finally:
            for cell in cells:
                del cell.forward


def _scanned(
    layer: CompiledRNN,
    x: Tensor,
    state: Sequence[Tensor] | None = None,
    lengths: Tensor | None = None,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run a layer over time; see `CompiledRNN.forward`."""
    if lengths is not None:
        raise ValueError("exported cells take no lengths")
    # a scan may not read several views of one tensor
    rows = (tuple(row.clone() for row in t) if len(t) else () for t in layer.weights())
    weights = Weights(*rows)  # type: ignore[arg-type]

    def step(states: tuple[Tensor, ...], now: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        new = reference_step(layer.cell, now, states, weights)
        return tuple(value.clone() for value in new), new[0]

    first = tuple(layer.initial_state(x.shape[0], x) if state is None else state)
    last, outputs = scan(step, first, x, dim=1)
    return outputs, tuple(last)
