"""Wraps a cell's loops over time into a differentiable function.

Products with x are computed for all steps before the loop, and gradients of weights for all steps
after it; the loop accumulates nothing.
"""

from collections.abc import Iterator
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from kernels.cell.rows import Rows
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
        rows: Rows,
        keep: bool,
    ) -> tuple[Tensor, Tensor]: ...

    def backward(
        self,
        weights: Weights,
        states: Tensor,
        kept: Tensor,
        grad_outputs: Tensor | None,
        grad_last: Tensor,
        rows: Rows,
    ) -> tuple[Tensor, Tensor]: ...


def run_loops(
    loops: Loops, x: Tensor, state: Tensor, weights: Weights, rows: Rows | None = None
) -> tuple[Tensor, Tensor]:
    """Run the cell.

    x: `[B, T, C]`, or `[R, C]` with `rows`
    state: `[S, B, H]`
    Returns the outputs, `[B, T, H]` or `[R, H]`, and the last states, `[S, B, H]`.
    """
    tensors = (x, state, *weights)
    keep = torch.is_grad_enabled() and any(t.requires_grad for t in tensors)
    return _RunLoops.apply(loops, rows, keep, *tensors)  # type: ignore[return-value]


class _RunLoops(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        loops: Loops,
        rows: Rows | None,
        keep: bool,
        x: Tensor,
        state: Tensor,
        *tensors: Tensor,
    ) -> tuple[Tensor, Tensor]:
        weights = Weights(*(w.contiguous() for w in tensors))
        packed = rows is not None
        if rows is None:
            rows = Rows(x.shape[0], x.shape[1])
        flat = x if packed else x.transpose(0, 1).reshape(rows.total, x.shape[2])
        projected = loops.project(flat, weights.on_x.flatten(0, 1))
        projected = projected.view(rows.total, len(weights.on_x), weights.bias.shape[1])
        states, kept = loops.forward(projected, weights, state.contiguous(), rows, keep)
        if keep:
            ctx.loops, ctx.rows, ctx.packed = loops, rows, packed
            ctx.save_for_backward(flat, states, kept, *weights)
        ctx.set_materialize_grads(False)
        states = states[..., : weights.on_h.shape[2]]
        outputs = states[0, rows.batch :].flatten(1)
        if not packed:
            outputs = outputs.unflatten(0, (rows.steps, rows.batch)).transpose(0, 1)
        return outputs, _last(states, rows).flatten(2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads_of_results: Tensor | None):  # type: ignore[override]
        grad_outputs, grad_last = grads_of_results
        flat, states, kept, *tensors = ctx.saved_tensors
        weights = Weights(*tensors)
        loops: Loops = ctx.loops
        rows: Rows = ctx.rows
        hidden = weights.bias.shape[1]
        if grad_outputs is not None:
            if not ctx.packed:
                grad_outputs = grad_outputs.transpose(0, 1)
            grad_outputs = grad_outputs.contiguous()
        if grad_last is None:
            grad_last = states.new_zeros(len(states), rows.batch, hidden)
        grads, grad_state = loops.backward(
            weights, states, kept, grad_outputs, grad_last.contiguous(), rows
        )  # [R, nodes with weights, H]
        on_x = grads[:, : len(weights.on_x)].flatten(1)  # [R, reading x * H]
        grad_x = None
        if ctx.needs_input_grad[3]:
            grad_x = loops.multiply(on_x, weights.on_x.flatten(0, 1).T)
            if not ctx.packed:
                grad_x = grad_x.view(rows.steps, rows.batch, -1).transpose(0, 1)
        read = _Read(loops.schedule, states, kept, rows, weights.on_h.shape[2])
        grad_on_h = None  # the most expensive gradient; skipped for frozen weights
        if ctx.needs_input_grad[7]:
            grad_on_h = _grad_on_h(loops, weights, grads, read)
        linears = len(weights.bias)
        return (
            *(None, None, None),
            grad_x,
            grad_state,
            grads[:, :linears].sum(0),
            loops.multiply(on_x.T, flat.T).view_as(weights.on_x),
            grad_on_h,
            _grad_diagonal(loops.schedule, grads[:, linears:], read),
        )


def _last(states: Tensor, rows: Rows) -> Tensor:
    """Return the last states `[S, B, …]`, copied: a view would keep all others alive."""
    if rows.sizes is None:
        return states[:, rows.total :].clone()
    return states.index_select(1, rows.ends.to(states.device))


class _Read:
    """The values of a cell at all steps, `[R, N, D]`, for the gradients of its weights."""

    def __init__(
        self, schedule: Schedule, states: Tensor, kept: Tensor, rows: Rows, depth: int
    ) -> None:
        self.schedule, self.states, self.kept = schedule, states, kept
        self.rows, self.depth = rows, depth

    def __getitem__(self, value: int) -> Tensor:
        outputs = self.schedule.cell.outputs
        if value in outputs:
            taken = self.states[outputs.index(value), self.rows.batch :]
        elif self.schedule.is_node(value):
            taken = self.kept[self.schedule.kept.index(value)]
        elif self.rows.sizes is None:
            taken = self.states[value - 1, : self.rows.total]
        else:
            before = self.rows.before.to(self.states.device)
            taken = self.states[value - 1].index_select(0, before)
        return taken[..., : self.depth]


def _runs(connections: tuple[tuple[int, int], ...]) -> Iterator[tuple[int, int, int]]:
    """Yield (value, first row, rows): adjacent matrices of `Weights.on_h` for one product."""
    begin = 0
    for end in range(1, len(connections) + 1):
        value, row = connections[begin]
        if end == len(connections) or connections[end] != (value, row + end - begin):
            yield value, row, end - begin
            begin = end


def _grad_on_h(loops: Loops, weights: Weights, grads: Tensor, read: _Read) -> Tensor | None:
    heads, depth = weights.on_h.shape[1:3]
    parts = []
    for value, row, rows in _runs(loops.schedule.layout.connections):
        seen, grad = read[value], grads[:, row : row + rows]  # [R, N, D], [R, rows, H]
        if heads == 1:
            parts.append(
                loops.multiply(grad.flatten(1).T, seen[:, 0].T).view(rows, 1, depth, depth)
            )
        else:
            parts.append(torch.einsum("brnj,bnk->rnjk", grad.unflatten(2, (heads, depth)), seen))
    return torch.cat(parts) if len(parts) > 1 else next(iter(parts), None)


def _grad_diagonal(schedule: Schedule, grads: Tensor, read: _Read) -> Tensor | None:
    parts = [
        (grads[:, row] * read[schedule.node(node).inputs[0]].flatten(1)).sum(0)
        for row, node in enumerate(schedule.layout.diagonals)
    ]
    return torch.stack(parts) if parts else None
