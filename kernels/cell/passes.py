"""Computes a cell forward and backward with its loops, and the gradients of its weights.

Products with x are computed for all steps before the loop, and gradients of weights for all steps
after it; the loop accumulates nothing.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from kernels.cell.rows import Rows
from kernels.cell.schedule import Schedule
from kernels.cell.weights import Weights


class Loops(Protocol):
    """The interface of a cell's loops over time; see `cpu.loops.CompiledLoops`."""

    schedule: Schedule

    def width(self, depth: int) -> int:
        """Return the columns of a head of `depth` units in states and kept values."""
        ...

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


class Saved(NamedTuple):
    """What the backward pass reads. flat: x as `[R, C]`; states, kept: see `CompiledLoops`."""

    flat: Tensor
    states: Tensor
    kept: Tensor


def run_forward(
    loops: Loops, x: Tensor, state: Tensor, weights: Weights, rows: Rows, keep: bool
) -> tuple[Tensor, Tensor, Saved]:
    """Return the outputs, the last states, and what `run_backward` needs if `keep`.

    Arguments and results as in `run_loops`; the outputs may be a view of the saved states.
    """
    flat = x if x.dim() == 2 else x.transpose(0, 1).reshape(rows.total, x.shape[2])
    projected = loops.project(flat, weights.on_x.flatten(0, 1))
    projected = projected.view(rows.total, len(weights.on_x), weights.bias.shape[1])
    saved = Saved(flat, *loops.forward(projected, weights, state.contiguous(), rows, keep))
    states = saved.states[..., : weights.on_h.shape[2]]
    outputs = states[0, rows.batch :].flatten(1)
    if x.dim() == 3:
        outputs = outputs.unflatten(0, (rows.steps, rows.batch)).transpose(0, 1)
    return outputs, _last(states, rows).flatten(2), saved


class Gradients(NamedTuple):
    """The gradients of x, the initial states, and the weights."""

    x: Tensor | None
    state: Tensor
    bias: Tensor
    on_x: Tensor
    on_h: Tensor | None
    diagonal: Tensor | None


def run_backward(
    loops: Loops,
    saved: Saved,
    weights: Weights,
    rows: Rows,
    above: tuple[Tensor | None, Tensor | None],
    padded: bool,
    needs: tuple[bool, bool],
) -> Gradients:
    """Return the gradients.

    above: those of the outputs and the last states, None for zeros
    padded: whether x was `[B, T, C]`
    needs: whether the gradients of x and of `Weights.on_h` are needed
    """
    grad_outputs, grad_last = above
    if grad_outputs is not None:
        rowwise = grad_outputs.transpose(0, 1).flatten(0, 1) if padded else grad_outputs
        grad_outputs = rowwise.contiguous()  # [R, H]
    if grad_last is None:
        shape = (len(saved.states), rows.batch, weights.bias.shape[1])
        grad_last = saved.states.new_zeros(shape)
    grads, grad_state = loops.backward(
        weights, saved.states, saved.kept, grad_outputs, grad_last.contiguous(), rows
    )  # [R, nodes with weights, H]
    on_x = grads[:, : len(weights.on_x)].flatten(1)  # [R, reading x * H]
    grad_x = None
    if needs[0]:
        grad_x = loops.multiply(on_x, weights.on_x.flatten(0, 1).T)
        if padded:
            grad_x = grad_x.view(rows.steps, rows.batch, -1).transpose(0, 1)
    read = _Read(loops.schedule, saved, rows, weights.on_h.shape[2])
    linears = len(weights.bias)
    return Gradients(
        grad_x,
        grad_state,
        grads[:, :linears].sum(0),
        loops.multiply(on_x.T, saved.flat.T).view_as(weights.on_x),
        _grad_on_h(loops, weights, grads, read) if needs[1] else None,  # the most expensive one
        _grad_diagonal(loops.schedule, grads[:, linears:], read),
    )


def _last(states: Tensor, rows: Rows) -> Tensor:
    """Return the last states `[S, B, …]`, copied: a view would keep all others alive."""
    if rows.sizes is None:
        return states[:, rows.total :].clone()
    return states.index_select(1, rows.ends.to(states.device))


class _Read:
    """The values of a cell at all steps, `[R, N, D]`, for the gradients of its weights."""

    def __init__(self, schedule: Schedule, saved: Saved, rows: Rows, depth: int) -> None:
        self.schedule, self.states, self.kept = schedule, saved.states, saved.kept
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
        by_head = grad.unflatten(2, (heads, depth)).unbind(2)  # [R, rows, D] each
        found = [loops.multiply(g.flatten(1).T, seen[:, n].T) for n, g in enumerate(by_head)]
        parts.append(torch.stack([part.unflatten(0, (rows, depth)) for part in found], dim=1))
    return torch.cat(parts) if len(parts) > 1 else next(iter(parts), None)


def _grad_diagonal(schedule: Schedule, grads: Tensor, read: _Read) -> Tensor | None:
    parts = []
    for row, node in enumerate(schedule.layout.diagonals):
        seen = [read[value].flatten(1) for value in schedule.node(node).inputs]
        parts.append(math.prod(seen, start=grads[:, row]).sum(0))
    return torch.stack(parts) if parts else None
