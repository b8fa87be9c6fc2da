"""Calls the generated C on tensors."""

import ctypes
import time
from collections.abc import Callable

import torch
from torch import Tensor

from kernels.cell.cpu import products
from kernels.cell.cpu.build import build
from kernels.cell.cpu.emit import emit_c
from kernels.cell.cpu.products import DEPTH
from kernels.cell.cpu.scratch import fresh, scratch
from kernels.cell.cpu.storage import DENSE, FEW_BITS
from kernels.cell.cpu.structs import function_of, number_of, struct_of
from kernels.cell.rows import Rows
from kernels.cell.schedule import Schedule
from kernels.cell.weight_gradients import Gradients, Saved
from kernels.cell.weights import Weights

_NUMBERS = (
    *("batch", "steps", "heads", "depth", "keep", "threads"),
    *("features", "x_row", "all_threads"),
)
_ARRAYS = (
    *(
        "first",
        "x",
        "on_x",
        "projected",
        "bias",
        "on_h",
        "diagonal",
        "initial",
        "packed",
        "states",
        "kept",
    ),
    *("grad_outputs", "grad_last", "grad_nodes", "grad_initial", "carried", "partial"),
    *("starts", "columns", "values", "fans", "fan_columns", "fan_values", "turned"),
    *("words", "scales", "offsets", "narrowed", "narrowed_scales", "room", "before"),
    *("grad_x", "grad_bias", "grad_on_x", "grad_on_h", "grad_diagonal"),
)
WORTH_THREADS = 1_000_000  # multiplications per step; below this, starting threads takes longer
REALS = {torch.float32: "float", torch.float64: "double"}


_Arguments = struct_of(_NUMBERS, _ARRAYS)  # the struct `arguments` in prelude.c


class CompiledLoops:
    """A cell's loops over time, forward and backward, compiled for one dtype.

    Raises `CannotCompile`.
    """

    stored = DENSE  # how the recurrent weights are stored, see `emit`

    def __init__(self, schedule: Schedule, dtype: torch.dtype) -> None:
        started = time.perf_counter()
        self.schedule = schedule
        self.source = emit_c(schedule, REALS[dtype], self.stored)
        library = build(self.source)
        products.library(dtype)  # if it cannot be compiled, it must fail here and not in a run
        self.compile_seconds = time.perf_counter() - started
        self._forward = function_of(library, "forward", _Arguments)
        self._backward = None
        if self.stored not in FEW_BITS:
            self._backward = function_of(library, "backward", _Arguments)
        self._panel = number_of(library, "panel")

    def width(self, depth: int) -> int:
        """Return the columns of a head of `depth` units in states and kept values."""
        return -(-depth // self._panel) * self._panel

    def forward(
        self, flat: Tensor, weights: Weights, initial: Tensor, rows: Rows, keep: bool
    ) -> tuple[Tensor, Tensor]:
        """Run the cell.

        flat: x, `[R, C]`, whose last stride is 1
        initial: `[S, B, H]`
        rows: which sequences each step has
        keep: whether to keep the values that `backward` reads
        Returns the states `[S, B + R, N, ≥ D]`, the initial ones first, and the kept values
        `[kept nodes, R, N, ≥ D]`; columns beyond D are padding.
        """
        heads, depth = weights.on_h.shape[1:3]
        padded = self.width(depth)
        states = fresh(flat, self.schedule.cell.states, rows.batch + rows.total, heads, padded)
        slots = rows.total if keep else rows.batch
        kept = fresh(flat, len(self.schedule.kept), slots, heads, padded)
        self._call(
            self._forward,
            flat,
            weights,
            rows,
            keep,
            initial=initial,
            states=states,
            kept=kept,
            **self._projection(flat, weights),
            **self._recurrent(weights, rows.batch, padded, backward=False),
        )
        return states, kept

    def backward(
        self,
        saved: Saved,
        weights: Weights,
        grad_outputs: Tensor | None,
        grad_last: Tensor,
        rows: Rows,
        needs: tuple[bool, bool],
    ) -> Gradients:
        """Return the gradients.

        grad_outputs: `[R, H]`, None for zeros
        grad_last: `[S, B, H]`
        needs: whether the gradients of x and of `Weights.on_h` are needed
        """
        assert self._backward is not None, f"{self.stored} is for inference only"
        flat, states, kept = saved
        layout, (heads, padded) = self.schedule.layout, states.shape[2:]
        nodes = len(layout.linears) + len(layout.diagonals)
        row = (rows.batch, heads, padded)
        found = Gradients(
            flat.new_empty(flat.shape) if needs[0] else None,
            torch.empty_like(grad_last),
            torch.empty_like(weights.bias),
            torch.empty_like(weights.on_x),
            torch.empty_like(weights.on_h) if needs[1] else None,
            torch.empty_like(weights.diagonal),
        )
        dtype = states.dtype
        self._call(
            self._backward,
            flat,
            weights,
            rows,
            True,
            states=states,
            kept=kept,
            **self._recurrent(weights, rows.batch, padded, backward=True),
            room=self._room(flat, weights),
            before=scratch.room(
                "before", dtype, self.schedule.cell.states, rows.total, heads, padded
            )
            if rows.sizes is not None
            else None,
            grad_outputs=grad_outputs,
            grad_last=grad_last,
            grad_nodes=scratch.room("grads", dtype, rows.total, nodes, weights.bias.shape[1]),
            carried=scratch.room("carried", dtype, 2, self.schedule.cell.states, *row),
            partial=scratch.room("partial", dtype, len(self.schedule.partial), *row),
            grad_initial=found.state,
            **{f"grad_{name}": part for name, part in found._asdict().items() if name != "state"},
        )
        return found

    def _projection(self, flat: Tensor, weights: Weights) -> dict[str, Tensor]:
        """Return the room for the products with x of all steps."""
        columns = weights.on_x.shape[0] * weights.on_x.shape[1]
        projected = scratch.room("projected", flat.dtype, len(flat), columns)
        return {"projected": projected, "room": self._room(flat, weights)}

    def _room(self, flat: Tensor, weights: Weights) -> Tensor:
        """Return the room for one packed factor of the products over all steps."""
        columns = max(*flat.shape[1:], weights.on_x.shape[0] * weights.on_x.shape[1])
        return scratch.room("products", flat.dtype, DEPTH * (columns + self._panel))

    def _recurrent(
        self, weights: Weights, batch: int, padded: int, backward: bool
    ) -> dict[str, Tensor]:
        """Return the arrays for the recurrent weights, with room to pack them."""
        connections, heads, depth, _ = weights.on_h.shape
        size = connections * heads * depth * padded
        return {"packed": scratch.room("packed", weights.on_h.dtype, size)}

    @staticmethod
    def _call(
        function: Callable[..., None],
        flat: Tensor,
        weights: Weights,
        rows: Rows,
        keep: bool,
        **arrays: Tensor | None,
    ) -> None:
        arrays |= {"first": rows.first, "x": flat, **weights._asdict()}
        threads = torch.get_num_threads()
        large = rows.batch * weights.on_h.numel() >= WORTH_THREADS and "packed" in arrays
        heads, depth = weights.on_h.shape[1:3]
        function(
            ctypes.byref(
                _Arguments(
                    *(rows.batch, rows.steps, heads, depth, keep, threads if large else 1),
                    *(flat.shape[1], flat.stride(0), threads),
                    **{name: a.data_ptr() for name, a in arrays.items() if a is not None},
                )
            )
        )
