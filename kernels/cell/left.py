"""What is left of a cell's weights: those that a mask keeps, in few bits, and their loops."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from kernels.cell.op import choose_backend, compile_left
from kernels.cell.rows import Rows
from kernels.cell.run import run_cell
from kernels.cell.spec import CellSpec
from kernels.cell.weights import Weights

FASTEST = ("auto", "cpu")  # backends that may take what is faster still


class Left:
    """What is left of a cell's weights.

    mask: booleans in the shape of `Weights.on_h`, True where a weight is left; None for all.
    bits: "int8" or "bfloat16" for products in few bits, None for float32; see `compile_left`.
    Copies, and what is unpickled, compile their loops again: no other process can use them.
    """

    def __init__(
        self, cell: CellSpec, mask: Tensor | None, dtype: torch.dtype, bits: str | None = None
    ) -> None:
        self.cell, self.mask, self.dtype, self.bits = cell, mask, dtype, bits
        self.plan = compile_left(cell, mask, dtype, bits)

    def __reduce__(self) -> tuple[type["Left"], tuple[Any, ...]]:
        return Left, (self.cell, self.mask, self.dtype, self.bits)

    def run(
        self,
        x: Tensor,
        state: Sequence[Tensor],
        weights: Weights,
        rows: Rows | None,
        backend: str,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Run the cell over time; removed weights get no gradient, and are not read on a CPU.

        Devices other than a CPU, and other backends, compute in the weights' own dtype.
        Raises `ValueError` if few bits are asked for gradients.
        """
        if self.bits and torch.is_grad_enabled() and any(w.requires_grad for w in weights):
            raise ValueError(
                f"a layer in {self.bits} has no gradients: call it under torch.inference_mode(), "
                "or compute_in(None) first"
            )
        weights = weights._replace(on_h=self._without_gradients(weights.on_h))
        fastest = choose_backend(backend) in FASTEST and not torch.compiler.is_compiling()
        if x.device.type == "cpu" and fastest:
            return self.plan.run(x, state, weights, rows)
        return run_cell(self.cell, x, state, weights, rows, backend)

    def _without_gradients(self, on_h: Tensor) -> Tensor:
        mask = self.mask
        if mask is None or not (on_h.requires_grad and torch.is_grad_enabled()):
            return on_h
        seen = on_h.view_as(on_h)
        seen.register_hook(lambda gradient: gradient * mask.to(gradient.device))
        return seen
