"""Runs a cell over time, with the implementation that fits the tensors."""

from collections.abc import Sequence

import torch
from torch import Tensor

from kernels.cell.op import compile_cell
from kernels.cell.rows import Rows
from kernels.cell.spec import CellSpec
from kernels.cell.weights import Weights


def run_cell(
    cell: CellSpec,
    x: Tensor,
    state: Sequence[Tensor],
    weights: Weights,
    rows: Rows | None = None,
    backend: str = "auto",
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run a cell over time.

    x: `[B, T, C]`, or `[R, C]` with `rows`, which says which sequences each step has
    state: S tensors `[B, H]`
    Returns the first state after every step, `[B, T, H]` or `[R, H]`, and the S last states.
    """
    if torch.compiler.is_compiling():
        from kernels.cell.operator import run_compiling  # imports PyTorch's compiler

        return run_compiling(cell, x, state, weights, rows, backend)
    return compile_cell(cell, x.device.type, x.dtype, backend).run(x, state, weights, rows)
