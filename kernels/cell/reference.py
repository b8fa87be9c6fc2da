"""Computes a cell step by step in plain PyTorch: slow, readable, correct in every dtype."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from kernels.cell.rows import Rows
from kernels.cell.spec import CellSpec
from kernels.cell.weights import Weights, layout_of


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
        match node.op:
            case "linear":
                row = layout.linears.index(number)
                result = weights.bias[row].expand_as(state[0])
                if 0 in node.inputs:
                    result = functional.linear(x, weights.on_x[row], weights.bias[row])
                for matrix, (source, to) in zip(weights.on_h, layout.connections, strict=True):
                    if to == row:
                        result = result + _by_heads(values[source], matrix)
            case "diagonal":
                result = weights.diagonal[layout.diagonals.index(number)].expand_as(state[0])
                result = read[0] * result if read else result
            case "blend":
                result = read[0] * read[1] + (1 - read[0]) * read[2]
            case "elementwise_prod":
                result = read[0] * read[1]
                for value in read[2:]:
                    result = result * value
            case "elementwise_sum":
                result = sum(read[1:], start=read[0])
            case "elementwise_max":
                result = torch.maximum(read[0], read[1])
            case "activation_tanh":
                result = torch.tanh(read[0])
            case "activation_sigm":
                result = torch.sigmoid(read[0])
            case "activation_leaky_relu":
                result = functional.leaky_relu(read[0], 0.01)
            case "activation_relu":
                result = torch.relu(read[0])
            case "activation_hard_sigm":
                result = torch.clamp(
                    read[0] / 6 + 0.5, 0, 1
                )  # torch's hardsigmoid rounds 1/6 to float32
            case "activation_softplus":
                result = torch.logaddexp(read[0], torch.zeros_like(read[0]))
            case "activation_silu":
                result = functional.silu(read[0])
            case "activation_gelu":
                result = functional.gelu(read[0])
            case "exp":
                result = torch.exp(read[0])
            case "log":
                result = torch.log(read[0])
            case "sqrt":
                result = torch.sqrt(read[0])
            case "reciprocal":
                result = 1 / read[0]
            case "elementwise_sub":
                result = read[0] - read[1]
            case "elementwise_div":
                result = read[0] / read[1]
            case "clamp":
                result = torch.clamp(read[0], read[1], read[2])
            case "mean" | "layer_norm" | "rms_norm" | "softmax":
                result = _over_units(node.op, read[0], _heads(weights))
            case "identity":
                result = read[0]
            case "one_minus":
                result = 1 - read[0]
            case "constant":
                result = torch.full_like(state[0], node.value or 0.0)
            case _:
                raise ValueError(f"unknown operation {node.op}")
        values.append(result)
    return values


def _over_units(op: str, value: Tensor, heads: int) -> Tensor:
    """Combine the units of each head of `[B, H]`."""
    units = value.unflatten(1, (heads, -1))
    match op:
        case "mean":
            result = units.mean(2, keepdim=True).expand_as(units)
        case "layer_norm":
            result = functional.layer_norm(units, units.shape[2:])
        case "rms_norm":
            result = units / (units.square().mean(2, keepdim=True) + 1e-5).sqrt()
        case _:
            result = units.softmax(2)
    return result.flatten(1)


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
