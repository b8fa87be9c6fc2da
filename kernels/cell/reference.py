"""The cell computed step by step in plain PyTorch: slow, readable, right in every dtype."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from kernels.cell.spec import CellSpec


def reference_step(
    cell: CellSpec, x: Tensor, state: Sequence[Tensor], weights: Sequence[Sequence[Tensor]]
) -> tuple[Tensor, ...]:
    """One step of the cell.

    x: `[B, C]`
    state: S tensors `[B, H]`
    weights: for each linear node its bias `[H]` and one matrix `[H, C or H]` an input
    Returns the S new states, `[B, H]`.
    """
    values: list[Tensor] = [x, *state]
    linears = iter(weights)
    for node in cell.nodes:
        read = [values[i] for i in node.inputs]
        match node.op:
            case "linear":
                bias, *matrices = next(linears)
                result = functional.linear(read[0], matrices[0], bias)
                for value, matrix in zip(read[1:], matrices[1:], strict=True):
                    result = result + functional.linear(value, matrix)
            case "blend":
                result = read[0] * read[1] + (1 - read[0]) * read[2]
            case "elementwise_prod":
                result = read[0] * read[1]
                for value in read[2:]:
                    result = result * value
            case "elementwise_sum":
                result = sum(read[1:], start=read[0])
            case "activation_tanh":
                result = torch.tanh(read[0])
            case "activation_sigm":
                result = torch.sigmoid(read[0])
            case "activation_leaky_relu":
                result = functional.leaky_relu(read[0], 0.01)
            case "activation_relu":
                result = torch.relu(read[0])
            case _:
                raise ValueError(f"no rule for operation {node.op}")
        values.append(result)
    return tuple(values[i] for i in cell.outputs)


def reference_rnn(
    cell: CellSpec,
    x: Tensor,
    state: Sequence[Tensor],
    weights: Sequence[Sequence[Tensor]],
    lengths: Tensor | None = None,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The cell run over time.

    x: `[B, T, C]`
    state: S tensors `[B, H]`
    weights: as for `reference_step`
    lengths: `[B]`; a sequence's state no longer changes after its length
    Returns the first state after every step, `[B, T, H]`, and the S last states, `[B, H]`.
    """
    current = tuple(state)
    outputs = []
    for t in range(x.shape[1]):
        new = reference_step(cell, x[:, t], current, weights)
        if lengths is not None:
            running = (t < lengths).unsqueeze(1)  # [B, 1]
            new = tuple(torch.where(running, a, b) for a, b in zip(new, current, strict=True))
        current = new
        outputs.append(current[0])
    return torch.stack(outputs, dim=1), current
