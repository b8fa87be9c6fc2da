"""Computes a cell step by step in plain PyTorch: slow, readable, correct in every dtype."""

import operator
from collections.abc import Callable, Sequence
from functools import reduce

import torch
from torch import Tensor
from torch.nn import functional

from kernels.cell.rows import Rows
from kernels.cell.spec import CellSpec
from kernels.cell.weights import Layout, Weights, layout_of


def reference_step(
    cell: CellSpec, x: Tensor, state: Sequence[Tensor], weights: Weights
) -> tuple[Tensor, ...]:
    """Run one step of the cell.

    x: `[B, C]`
    state: S tensors `[B, H]`
    Returns the S new states, `[B, H]`.
    """
    values = reference_values(cell, x, state, weights)
    return tuple(values[i] for i in cell.outputs)


def reference_values(
    cell: CellSpec, x: Tensor, state: Sequence[Tensor], weights: Weights
) -> list[Tensor]:
    """Return all values of one step, numbered as in `CellSpec`; see `reference_step`."""
    layout = layout_of(cell)
    values: list[Tensor] = [x, *state]
    for number, node in enumerate(cell.nodes, start=cell.states + 1):
        read = [values[i] for i in node.inputs]
        if node.op == "linear":
            result = _linear(layout, number, values, 0 in node.inputs, weights)
        elif node.op == "diagonal":
            result = weights.diagonal[layout.diagonals.index(number)].expand_as(state[0])
            result = read[0] * result if read else result
        elif node.op == "constant":
            result = torch.full_like(state[0], node.value or 0.0)
        elif node.op in _OVER_UNITS:
            units = read[0].unflatten(1, (_heads(weights), -1))
            result = _OVER_UNITS[node.op](units).flatten(1)
        elif node.op in _ELEMENTWISE:
            result = _ELEMENTWISE[node.op](*read)
        else:
            raise ValueError(f"unknown operation {node.op}")
        values.append(result)
    return values


def _linear(
    layout: Layout, number: int, values: list[Tensor], reads_x: bool, weights: Weights
) -> Tensor:
    row, x = layout.linears.index(number), values[0]
    result = weights.bias[row].expand_as(values[1])
    if reads_x:
        result = functional.linear(x, weights.on_x[row], weights.bias[row])
    for matrix, (source, to) in zip(weights.on_h, layout.connections, strict=True):
        if to == row:
            result = result + _by_heads(values[source], matrix)
    return result


_ELEMENTWISE: dict[str, Callable[..., Tensor]] = {
    "blend": lambda a, b, c: a * b + (1 - a) * c,
    "elementwise_prod": lambda *read: reduce(operator.mul, read),
    "elementwise_sum": lambda *read: reduce(operator.add, read),
    "elementwise_sub": lambda a, b: a - b,
    "elementwise_div": lambda a, b: a / b,
    "elementwise_max": torch.maximum,
    "activation_tanh": torch.tanh,
    "activation_sigm": torch.sigmoid,
    "activation_leaky_relu": lambda a: functional.leaky_relu(a, 0.01),
    "activation_relu": torch.relu,
    # torch's hardsigmoid rounds 1/6 to float32
    "activation_hard_sigm": lambda a: torch.clamp(a / 6 + 0.5, 0, 1),
    "activation_softplus": lambda a: torch.logaddexp(a, torch.zeros_like(a)),
    "activation_silu": functional.silu,
    "activation_gelu": functional.gelu,
    "exp": torch.exp,
    "log": torch.log,
    "sqrt": torch.sqrt,
    "reciprocal": lambda a: 1 / a,
    "clamp": torch.clamp,
    "identity": lambda a: a,
    "one_minus": lambda a: 1 - a,
}

_OVER_UNITS: dict[str, Callable[[Tensor], Tensor]] = {  # of each head, `[B, N, D]`
    "mean": lambda units: units.mean(2, keepdim=True).expand_as(units),
    "layer_norm": lambda units: functional.layer_norm(units, units.shape[2:]),
    "rms_norm": lambda units: units / (units.square().mean(2, keepdim=True) + 1e-5).sqrt(),
    "softmax": lambda units: units.softmax(2),
}


def _heads(weights: Weights) -> int:
    """Return the number of heads, also of weights that are taken apart."""
    return weights.on_h.shape[1] if isinstance(weights.on_h, Tensor) else len(weights.on_h[0])


def _by_heads(value: Tensor, matrix: Tensor) -> Tensor:
    """Multiply each head of `[B, H]` by its matrix of `[N, D, D]`."""
    heads, depth, _ = matrix.shape
    if heads == 1:
        return functional.linear(value, matrix.squeeze(0))
    return torch.einsum("bnk,njk->bnj", value.unflatten(1, (heads, depth)), matrix).flatten(1)


def reference_rnn(
    cell: CellSpec,
    x: Tensor,
    state: Sequence[Tensor],
    weights: Weights,
    lengths: Tensor | None = None,
    watch: Callable[[list[Tensor]], None] | None = None,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run the cell over time.

    x: `[B, T, C]`
    state: S tensors `[B, H]`
    lengths: `[B]`; a sequence's state stays constant after its length
    watch: receives all values of each step, as in `reference_values`
    Returns the first state after every step, `[B, T, H]`, and the S last states, `[B, H]`.
    """
    current = tuple(state)
    apart, outputs = _apart(weights), []
    for t, step in enumerate(x.unbind(1)):
        values = reference_values(cell, step, current, apart)
        if watch is not None:
            watch(values)
        new = tuple(values[i] for i in cell.outputs)
        if lengths is not None:
            running = (t < lengths).unsqueeze(1)  # [B, 1]
            new = tuple(torch.where(running, a, b) for a, b in zip(new, current, strict=True))
        current = new
        outputs.append(current[0])
    return torch.stack(outputs, dim=1), current


def reference_rows(
    cell: CellSpec, x: Tensor, state: Sequence[Tensor], weights: Weights, rows: Rows
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run the cell over sequences without padding; see `run_cell`."""
    current, apart, outputs = tuple(state), _apart(weights), []
    for begin, end in rows.spans():
        running = tuple(part[: end - begin] for part in current)
        new = reference_step(cell, x[begin:end], running, apart)
        ended = (part[end - begin :] for part in current)
        current = tuple(torch.cat(parts) for parts in zip(new, ended, strict=True))
        outputs.append(new[0])
    return torch.cat(outputs) if outputs else x.new_zeros(0, current[0].shape[1]), current


def _apart(weights: Weights) -> Weights:
    """Return the weights of each node, taken out once and not at each step."""
    parts = (tensor.unbind() if len(tensor) else tensor for tensor in weights)
    return Weights(*parts)  # type: ignore[arg-type]
