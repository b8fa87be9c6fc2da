"""The recurrent weights that a mask leaves, and the loops that read only those."""

from collections.abc import Sequence

import torch
from torch import Tensor

from kernels.cell.op import choose_backend, compile_sparse
from kernels.cell.rows import Rows
from kernels.cell.run import run_cell
from kernels.cell.spec import CellSpec
from kernels.cell.weights import Weights

FASTEST = ("auto", "cpu")  # backends that may take what is faster still


class Left:
    """What a mask leaves of a cell's recurrent weights.

    mask: booleans in the shape of `Weights.on_h`, True where a weight is left.
    Copies, and what is unpickled, compile their loops again: no other process can use them.
    """

    def __init__(self, cell: CellSpec, mask: Tensor, dtype: torch.dtype) -> None:
        self.cell, self.mask, self.dtype = cell, mask, dtype
        self.plan = compile_sparse(cell, mask, dtype)

    def __reduce__(self) -> tuple[type["Left"], tuple[CellSpec, Tensor, torch.dtype]]:
        return Left, (self.cell, self.mask, self.dtype)

    def run(
        self,
        x: Tensor,
        state: Sequence[Tensor],
        weights: Weights,
        rows: Rows | None,
        backend: str,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Run the cell over time; removed weights get no gradient, and are not read on a CPU."""
        weights = weights._replace(on_h=self._without_gradients(weights.on_h))
        fastest = choose_backend(backend) in FASTEST and not torch.compiler.is_compiling()
        if x.device.type == "cpu" and fastest:
            return self.plan.run(x, state, weights, rows)
        return run_cell(self.cell, x, state, weights, rows, backend)

    def _without_gradients(self, on_h: Tensor) -> Tensor:
        if not (on_h.requires_grad and torch.is_grad_enabled()):
            return on_h
        seen = on_h.view_as(on_h)
        seen.register_hook(lambda gradient: gradient * self.mask.to(gradient.device))
        return seen
