"""Runs cells whose recurrence is diagonal over all steps at once, by Newton's method.

Lim et al. 2024, https://arxiv.org/abs/2309.12252, and Danieli et al. 2025 (ParaRNN),
https://arxiv.org/abs/2510.21450: the states of all steps solve h_t = f(h_{t-1}, x_t). An iteration
linearises f about the last estimate, and the resulting linear recurrence is a scan, whose depth is
logarithmic in the number of steps.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from kernels.cell.operations import OPERATIONS
from kernels.cell.reference import reference_step
from kernels.cell.spec import CellSpec
from kernels.cell.weights import Weights, layout_of

MOST_ITERATIONS = 16
STEPS_OF_ROUNDING = 16  # residual at which an iteration ends, in steps of the dtype


class Solved(NamedTuple):
    """What Newton's method found.

    states: after every step, S tensors `[B, T, H]`.
    residual: the largest |h_t - f(h_{t-1}, x_t)| of the last estimate.
    converged: whether that is rounding; if not, the states are not those of the cell.
    """

    states: tuple[Tensor, ...]
    iterations: int
    residual: float
    converged: bool


def check_diagonal(cell: CellSpec) -> None:
    """Raise `ValueError` if a unit of the new states depends on other units of the old ones."""
    reduces = any(OPERATIONS[node.op].reduction is not None for node in cell.nodes)
    if layout_of(cell).connections or reduces:
        raise ValueError("Newton's method needs a diagonal recurrence: use other kernels")


def newton_rnn(
    cell: CellSpec,
    x: Tensor,
    state: Sequence[Tensor],
    weights: Weights,
    most: int = MOST_ITERATIONS,
) -> Solved:
    """Run a diagonal cell over time; arguments as of `reference_rnn`.

    The gradient is that of the solution (the implicit function theorem), one more scan. Raises
    `ValueError` for a cell that is not diagonal.
    """
    check_diagonal(cell)
    first = [part.detach() for part in state]
    found = x.new_zeros(*x.shape[:2], state[0].shape[1], cell.states)
    new, slopes = _with_slopes(cell, x, _before(found, first), weights)
    iterations = 0
    while (gap := _gap(new, found)) > STEPS_OF_ROUNDING and iterations < most:
        found = found + scan(slopes, new - found)
        new, slopes = _with_slopes(cell, x, _before(found, first), weights)
        iterations += 1
    residual, converged = float((new - found).abs().max()), gap <= STEPS_OF_ROUNDING
    # found is a constant here: its gradient is that of the residual, carried by the scan
    exact = _at_once(cell, x, _before(found, state), weights)
    found = found + scan(slopes, exact - found)
    return Solved(found.unbind(-1), iterations, residual, converged)


def scan(slopes: Tensor, values: Tensor) -> Tensor:
    """Return y_t = A_t y_{t-1} + v_t for all t, with y_0 = v_0, in log2(T) passes.

    slopes: A, `[B, T, H, S, S]`. values: v, `[B, T, H, S]`. Hillis and Steele 1986.
    """
    reach = 1
    while reach < values.shape[1]:
        carried = (slopes[:, reach:] @ values[:, :-reach, :, :, None])[..., 0]
        values = torch.cat([values[:, :reach], values[:, reach:] + carried], 1)
        slopes = torch.cat([slopes[:, :reach], slopes[:, reach:] @ slopes[:, :-reach]], 1)
        reach *= 2
    return values


def _gap(new: Tensor, found: Tensor) -> float:
    """Return the largest residual in steps of the dtype, of the largest state if it is over 1."""
    step = torch.finfo(new.dtype).eps * max(1.0, float(new.abs().max()))
    return float((new - found).abs().max()) / step


def _before(found: Tensor, first: Sequence[Tensor]) -> Tensor:
    """Return the states before every step, `[B, T, H, S]`, from those after it."""
    return torch.cat([torch.stack(tuple(first), -1)[:, None], found[:, :-1]], 1)


def _at_once(cell: CellSpec, x: Tensor, before: Tensor, weights: Weights) -> Tensor:
    """Return f(h_{t-1}, x_t) of all steps, `[B, T, H, S]`."""
    batch, steps = x.shape[:2]
    new = reference_step(cell, x.flatten(0, 1), before.flatten(0, 1).unbind(-1), weights)
    return torch.stack(new, -1).unflatten(0, (batch, steps))


@torch.enable_grad()
def _with_slopes(
    cell: CellSpec, x: Tensor, before: Tensor, weights: Weights
) -> tuple[Tensor, Tensor]:
    """Return f and its derivatives to the states before, `[B, T, H, S, S]`."""
    before = before.detach().requires_grad_()
    new = _at_once(cell, x.detach(), before, Weights(*(w.detach() for w in weights)))
    # units do not mix, so the derivative of a sum over units is that of each unit
    sums = new.flatten(0, 2).sum(0)
    rows = [torch.autograd.grad(each, before, retain_graph=True)[0] for each in sums]
    return new.detach(), torch.stack(rows, -2)
