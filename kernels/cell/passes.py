"""Computes a cell forward and backward with its loops.

Products with x are computed for all steps before the loop, and gradients of weights for all steps
after it; the loop accumulates nothing.
"""

from typing import Protocol

from torch import Tensor

from kernels.cell.rows import Rows
from kernels.cell.schedule import Schedule
from kernels.cell.weight_gradients import Gradients, Saved
from kernels.cell.weights import Weights


class Loops(Protocol):
    """The interface of a cell's loops over time; see `cpu.loops.CompiledLoops`."""

    schedule: Schedule

    def width(self, depth: int) -> int:
        """Return the columns of a head of `depth` units in states and kept values."""
        ...

    def forward(
        self, flat: Tensor, weights: Weights, initial: Tensor, rows: Rows, keep: bool
    ) -> tuple[Tensor, Tensor]: ...

    def backward(
        self,
        saved: Saved,
        weights: Weights,
        grad_outputs: Tensor | None,
        grad_last: Tensor,
        rows: Rows,
        needs: tuple[bool, bool],
    ) -> Gradients: ...


def run_forward(
    loops: Loops, x: Tensor, state: Tensor, weights: Weights, rows: Rows, keep: bool
) -> tuple[Tensor, Tensor, Saved]:
    """Return the outputs, the last states, and what `run_backward` needs if `keep`.

    Arguments and results as in `run_loops`; the outputs may be a view of the saved states.
    """
    flat = x if x.dim() == 2 else x.transpose(0, 1).reshape(rows.total, x.shape[2])
    if flat.stride(1) != 1:
        flat = flat.contiguous()
    states, kept = loops.forward(flat, weights, state.contiguous(), rows, keep)
    heads, depth = weights.on_h.shape[1:3]
    seen = states[..., :depth] if depth < states.shape[3] else states
    seen = seen.squeeze(2) if heads == 1 else seen.flatten(2)
    outputs = seen[0, rows.batch :]
    if x.dim() == 3:
        outputs = outputs.unflatten(0, (rows.steps, rows.batch)).transpose(0, 1)
    return outputs, _last(seen, rows), Saved(flat, states, kept)


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
    found = loops.backward(saved, weights, grad_outputs, grad_last.contiguous(), rows, needs)
    if found.x is None or not padded:
        return found
    return found._replace(x=found.x.view(rows.steps, rows.batch, -1).transpose(0, 1))


def _last(states: Tensor, rows: Rows) -> Tensor:
    """Return the last states `[S, B, …]`, copied: a view would keep all others alive."""
    if rows.sizes is None:
        return states[:, rows.total :].clone()
    return states.index_select(1, rows.ends.to(states.device))
