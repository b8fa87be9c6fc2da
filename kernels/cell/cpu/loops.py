"""Calls the generated C on tensors."""

import ctypes
import time
from collections.abc import Callable

import torch
from torch import Tensor

from kernels.cell.cpu.build import build
from kernels.cell.cpu.emit import emit_c
from kernels.cell.cpu.products import multiply
from kernels.cell.cpu.scratch import fresh, scratch
from kernels.cell.rows import Rows
from kernels.cell.schedule import Schedule
from kernels.cell.weights import Weights

_NUMBERS = ("batch", "steps", "heads", "depth", "keep", "threads")
_ARRAYS = (
    *("first", "projected", "bias", "on_h", "diagonal", "initial", "packed", "states", "kept"),
    *("grad_outputs", "grad_last", "grad_nodes", "grad_initial", "carried", "partial"),
    *("starts", "columns", "values", "fans", "fan_columns", "fan_values", "turned"),
)
WORTH_THREADS = 1_000_000  # multiplications per step; below this, starting threads takes longer
REALS = {torch.float32: "float", torch.float64: "double"}


class _Arguments(ctypes.Structure):
    """The struct `arguments` in prelude.c."""

    _fields_ = [
        *((name, ctypes.c_long) for name in _NUMBERS),
        *((name, ctypes.c_void_p) for name in _ARRAYS),
    ]


class CompiledLoops:
    """A cell's loops over time, forward and backward, compiled for one dtype."""

    listed = False  # whether the recurrent weights are lists, see `cpu.sparse`

    def __init__(self, schedule: Schedule, dtype: torch.dtype) -> None:
        started = time.perf_counter()
        self.schedule = schedule
        self.source = emit_c(schedule, REALS[dtype], self.listed)
        library = build(self.source)
        self.compile_seconds = time.perf_counter() - started
        self._forward, self._backward = library.forward, library.backward
        for function in (self._forward, self._backward):
            function.argtypes, function.restype = [ctypes.POINTER(_Arguments)], None
        self._panel = ctypes.c_long.in_dll(library, "panel").value

    def width(self, depth: int) -> int:
        """Return the columns of a head of `depth` units in states and kept values."""
        return -(-depth // self._panel) * self._panel

    def multiply(self, a: Tensor, b: Tensor) -> Tensor:
        """Return a·bᵀ, `[M, N]`. a: `[M, K]`, b: `[N, K]`."""
        return multiply(a, b)

    def project(self, x: Tensor, weights: Tensor) -> Tensor:
        """Return x·weightsᵀ, which is valid until the next call in this thread."""
        return multiply(x, weights, scratch.empty("projected", x.dtype, len(x), len(weights)))

    def forward(
        self,
        projected: Tensor,
        weights: Weights,
        initial: Tensor,
        rows: Rows,
        keep: bool,
    ) -> tuple[Tensor, Tensor]:
        """Run the cell.

        projected: `[R, linear nodes that read x, H]`, the products with x without the bias
        initial: `[S, B, H]`
        rows: which sequences each step has
        keep: whether to keep the values that `backward` reads
        Returns the states `[S, B + R, N, ≥ D]`, the initial ones first, and the kept values
        `[kept nodes, R, N, ≥ D]`; columns beyond D are padding.
        """
        heads, depth = weights.on_h.shape[1:3]
        padded = self.width(depth)
        cell = self.schedule.cell
        states = fresh(projected, cell.states, rows.batch + rows.total, heads, padded)
        slots = rows.total if keep else rows.batch
        kept = fresh(projected, len(self.schedule.kept), slots, heads, padded)
        self._call(
            self._forward,
            weights,
            (rows.batch, rows.steps, heads, depth, int(keep)),
            first=rows.first,
            projected=projected,
            initial=initial,
            states=states,
            kept=kept,
            **self._recurrent(weights, rows.batch, padded, backward=False),
        )
        return states, kept

    def backward(
        self,
        weights: Weights,
        states: Tensor,
        kept: Tensor,
        grad_outputs: Tensor | None,
        grad_last: Tensor,
        rows: Rows,
    ) -> tuple[Tensor, Tensor]:
        """Return the gradients of the nodes with weights and of the initial states.

        states, kept: the results of `forward`
        grad_outputs: `[R, H]`, None for zeros
        grad_last: `[S, B, H]`
        Returns `[R, linear nodes + diagonal nodes, H]`, valid until the next call in this
        thread, and `[S, B, H]`.
        """
        cell, layout = self.schedule.cell, self.schedule.layout
        heads, padded = states.shape[2:]
        depth, batch = weights.on_h.shape[2], rows.batch
        nodes = len(layout.linears) + len(layout.diagonals)
        row = (batch, heads, padded)
        grad_nodes = scratch.empty("grads", states.dtype, rows.total, nodes, heads * depth)
        grad_initial = torch.empty_like(grad_last)
        self._call(
            self._backward,
            weights,
            (batch, rows.steps, heads, depth, 1),
            first=rows.first,
            states=states,
            kept=kept,
            **self._recurrent(weights, batch, padded, backward=True),
            grad_outputs=grad_outputs,
            grad_last=grad_last,
            grad_nodes=grad_nodes,
            grad_initial=grad_initial,
            carried=scratch.room("carried", states.dtype, 2, cell.states, *row),
            partial=scratch.room("partial", states.dtype, len(self.schedule.partial), *row),
        )
        return grad_nodes, grad_initial

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
        weights: Weights,
        numbers: tuple[int, ...],
        **arrays: Tensor | None,
    ) -> None:
        arrays |= {name: getattr(weights, name) for name in ("bias", "on_h", "diagonal")}
        large = numbers[0] * weights.on_h.numel() >= WORTH_THREADS and "packed" in arrays
        function(
            ctypes.byref(
                _Arguments(
                    *numbers,
                    torch.get_num_threads() if large else 1,
                    **{name: a.data_ptr() for name, a in arrays.items() if a is not None},
                )
            )
        )
