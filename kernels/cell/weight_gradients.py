"""What surrounds loops over time that have no more than the loops: products with x before them, and
the gradients of the weights after them, in PyTorch operations."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from kernels.cell.rows import Rows
from kernels.cell.schedule import Schedule
from kernels.cell.weights import Weights, adjacent


class Saved(NamedTuple):
    """What the backward pass reads. flat: x as `[R, C]`; states, kept: see `CompiledLoops`."""

    flat: Tensor
    states: Tensor
    kept: Tensor


class Gradients(NamedTuple):
    """The gradients of x, the initial states, and the weights; None where they are not needed."""

    x: Tensor | None
    state: Tensor
    bias: Tensor
    on_x: Tensor
    on_h: Tensor | None
    diagonal: Tensor


class OnlyLoops:
    """Loops over time as a `passes.Loops`; a subclass has the schedule and the two methods."""

    schedule: Schedule

    def steps_forward(
        self, projected: Tensor, weights: Weights, initial: Tensor, rows: Rows, keep: bool
    ) -> tuple[Tensor, Tensor]:
        """Run as `CompiledLoops.forward` does. projected: `[R, linear nodes that read x, H]`, the
        products with x without the bias."""
        raise NotImplementedError

    def steps_backward(
        self,
        weights: Weights,
        states: Tensor,
        kept: Tensor,
        grad_outputs: Tensor | None,
        grad_last: Tensor,
        rows: Rows,
    ) -> tuple[Tensor, Tensor]:
        """Return the gradients of the nodes with weights, `[R, nodes, H]`, linear ones first, and
        of the initial states."""
        raise NotImplementedError

    def forward(
        self, flat: Tensor, weights: Weights, initial: Tensor, rows: Rows, keep: bool
    ) -> tuple[Tensor, Tensor]:
        projected = flat @ weights.on_x.flatten(0, 1).T
        projected = projected.view(rows.total, len(weights.on_x), weights.bias.shape[1])
        return self.steps_forward(projected, weights, initial, rows, keep)

    def backward(
        self,
        saved: Saved,
        weights: Weights,
        grad_outputs: Tensor | None,
        grad_last: Tensor,
        rows: Rows,
        needs: tuple[bool, bool],
    ) -> Gradients:
        above = (grad_outputs, grad_last, rows)
        of_nodes = self.steps_backward(weights, saved.states, saved.kept, *above)
        return _gradients(self.schedule, saved, weights, rows, of_nodes, needs)


def _gradients(
    schedule: Schedule,
    saved: Saved,
    weights: Weights,
    rows: Rows,
    of_nodes: tuple[Tensor, Tensor],
    needs: tuple[bool, bool],
) -> Gradients:
    """Return the gradients.

    of_nodes: those of the nodes with weights, `[R, nodes, H]`, and of the initial states
    needs: whether those of x and of `Weights.on_h` are needed
    """
    grads, grad_state = of_nodes
    on_x = grads[:, : len(weights.on_x)].flatten(1)  # [R, reading x * H]
    read = _Read(schedule, saved, rows, weights.on_h.shape[2])
    linears = len(weights.bias)
    return Gradients(
        on_x @ weights.on_x.flatten(0, 1) if needs[0] else None,
        grad_state,
        grads[:, :linears].sum(0),
        (on_x.T @ saved.flat).view_as(weights.on_x),
        _grad_on_h(schedule, weights, grads, read) if needs[1] else None,  # the most expensive one
        _grad_diagonal(schedule, weights, grads[:, linears:], read),
    )


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


def _grad_on_h(schedule: Schedule, weights: Weights, grads: Tensor, read: _Read) -> Tensor | None:
    heads, depth = weights.on_h.shape[1:3]
    parts = []
    for value, row, rows in adjacent(schedule.layout.connections):
        seen, grad = read[value], grads[:, row : row + rows]  # [R, N, D], [R, rows, H]
        if heads == 1:
            parts.append((grad.flatten(1).T @ seen[:, 0]).view(rows, 1, depth, depth))
        else:
            parts.append(torch.einsum("brnj,bnk->rnjk", grad.unflatten(2, (heads, depth)), seen))
    return torch.cat(parts) if len(parts) > 1 else next(iter(parts), None)


def _grad_diagonal(schedule: Schedule, weights: Weights, grads: Tensor, read: _Read) -> Tensor:
    parts = []
    for row, node in enumerate(schedule.layout.diagonals):
        seen = [read[value].flatten(1) for value in schedule.node(node).inputs]
        parts.append(math.prod(seen, start=grads[:, row]).sum(0))
    return torch.stack(parts) if parts else torch.zeros_like(weights.diagonal)
