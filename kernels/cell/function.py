"""Wraps a cell's loops over time into a differentiable function.

Products with x are computed for all steps before the loop, and gradients of weights for all steps
after it; the loop accumulates nothing.
"""

from collections.abc import Iterator
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from kernels.cell.schedule import Schedule
from kernels.cell.weights import Weights


class Loops(Protocol):
    """The interface of a cell's loops over time; see `cpu.loops.CompiledLoops`."""

    schedule: Schedule

    def multiply(self, a: Tensor, b: Tensor) -> Tensor: ...

    def project(self, x: Tensor, weights: Tensor) -> Tensor: ...

    def forward(
        self,
        projected: Tensor,
        weights: Weights,
        initial: Tensor,
        lengths: Tensor | None,
        keep: bool,
    ) -> tuple[Tensor, Tensor]: ...

    def backward(
        self,
        weights: Weights,
        states: Tensor,
        kept: Tensor,
        grad_outputs: Tensor | None,
        grad_last: Tensor,
        lengths: Tensor | None,
    ) -> tuple[Tensor, Tensor]: ...


def run_loops(
    loops: Loops, x: Tensor, state: Tensor, weights: Weights, lengths: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Run the cell. x: `[B, T, C]`, state: `[S, B, H]`; returns `[B, T, H]`, `[S, B, H]`."""
    tensors = (x, state, *weights)
    keep = torch.is_grad_enabled() and any(t.requires_grad for t in tensors)
    return _RunLoops.apply(loops, lengths, keep, *tensors)  # type: ignore[return-value]


class _RunLoops(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        loops: Loops,
        lengths: Tensor | None,
        keep: bool,
        x: Tensor,
        state: Tensor,
        *tensors: Tensor,
    ) -> tuple[Tensor, Tensor]:
        weights = Weights(*(w.contiguous() for w in tensors))
        batch, steps, features = x.shape
        flat = x.transpose(0, 1).reshape(steps * batch, features)
        reading = len(weights.on_x)
        projected = loops.project(flat, weights.on_x.flatten(0, 1))
        projected = projected.view(steps, batch, reading, weights.bias.shape[1])
        states, kept = loops.forward(projected, weights, state.contiguous(), lengths, keep)
        depth = weights.on_h.shape[2]
        if keep:
            ctx.loops, ctx.lengths = loops, lengths
            ctx.save_for_backward(flat, states, kept, *weights)
        ctx.set_materialize_grads(False)
        outputs = states[0, 1:, ..., :depth].flatten(2).transpose(0, 1)
        last = states[:, -1, ..., :depth].flatten(2)
        return outputs, last.clone()  # a view would change with the outputs and keep them all alive

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads_of_results: Tensor | None):  # type: ignore[override]
        grad_outputs, grad_last = grads_of_results
        flat, states, kept, *tensors = ctx.saved_tensors
        weights = Weights(*tensors)
        loops: Loops = ctx.loops
        count, slots, batch = states.shape[:3]
        hidden = weights.bias.shape[1]
        if grad_outputs is not None:
            grad_outputs = grad_outputs.transpose(0, 1).contiguous()
        if grad_last is None:
            grad_last = states.new_zeros(count, batch, hidden)
        grad_nodes, grad_state = loops.backward(
            weights, states, kept, grad_outputs, grad_last.contiguous(), ctx.lengths
        )
        grads = grad_nodes.flatten(0, 1)  # [T * B, nodes with weights, H]
        on_x = grads[:, : len(weights.on_x)].flatten(1)  # [T * B, reading x * H]
        grad_x = None
        if ctx.needs_input_grad[3]:
            grad_x = loops.multiply(on_x, weights.on_x.flatten(0, 1).T)
            grad_x = grad_x.view(slots - 1, batch, -1).transpose(0, 1)
        grad_on_h = None  # the most expensive gradient; skipped for frozen weights
        if ctx.needs_input_grad[7]:
            grad_on_h = _grad_on_h(loops, weights, grads, states, kept)
        linears = len(weights.bias)
        return (
            *(None, None, None),
            grad_x,
            grad_state,
            grads[:, :linears].sum(0),
            loops.multiply(on_x.T, flat.T).view_as(weights.on_x),
            grad_on_h,
            _grad_diagonal(loops.schedule, weights, grads[:, linears:], states, kept),
        )


def _values(schedule: Schedule, value: int, states: Tensor, kept: Tensor, depth: int) -> Tensor:
    """Return a value at all steps, `[T * B, N, D]`."""
    outputs = schedule.cell.outputs
    if not schedule.is_node(value):
        taken = states[value - 1, :-1]
    elif value in outputs:
        taken = states[outputs.index(value), 1:]
    else:
        taken = kept[schedule.kept.index(value)]
    return taken.flatten(0, 1)[..., :depth]


def _runs(connections: tuple[tuple[int, int], ...]) -> Iterator[tuple[int, int, int]]:
    """Yield (value, first row, rows): adjacent matrices of `Weights.on_h` for one product."""
    begin = 0
    for end in range(1, len(connections) + 1):
        value, row = connections[begin]
        if end == len(connections) or connections[end] != (value, row + end - begin):
            yield value, row, end - begin
            begin = end


def _grad_on_h(
    loops: Loops, weights: Weights, grads: Tensor, states: Tensor, kept: Tensor
) -> Tensor | None:
    heads, depth = weights.on_h.shape[1:3]
    parts = []
    for value, row, rows in _runs(loops.schedule.layout.connections):
        read = _values(loops.schedule, value, states, kept, depth)  # [T * B, N, D]
        grad = grads[:, row : row + rows]  # [T * B, rows, H]
        if heads == 1:
            parts.append(
                loops.multiply(grad.flatten(1).T, read[:, 0].T).view(rows, 1, depth, depth)
            )
        else:
            parts.append(torch.einsum("brnj,bnk->rnjk", grad.unflatten(2, (heads, depth)), read))
    return torch.cat(parts) if len(parts) > 1 else next(iter(parts), None)


def _grad_diagonal(
    schedule: Schedule, weights: Weights, grads: Tensor, states: Tensor, kept: Tensor
) -> Tensor | None:
    depth = weights.on_h.shape[2]
    parts = [
        (
            grads[:, row]
            * _values(schedule, schedule.node(node).inputs[0], states, kept, depth).flatten(1)
        ).sum(0)
        for row, node in enumerate(schedule.layout.diagonals)
    ]
    return torch.stack(parts) if parts else None
