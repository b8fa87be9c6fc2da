"""Calls the generated Triton on tensors."""

import hashlib
import importlib.util
import os
import tempfile
import time
from pathlib import Path
from types import ModuleType

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.cell.cpu.build import cache_folder
from kernels.cell.gpu.emit import emit_triton
from kernels.cell.rows import Rows
from kernels.cell.schedule import Schedule
from kernels.cell.weight_gradients import OnlyLoops
from kernels.cell.weights import Weights

RESIDENT_BYTES = (
    128 * 1024
)  # for a head's matrices, leaving room for the rest of a multiprocessor's data
BLOCK_B = 16  # sequences per program: the minimum for matrix units
BLOCK_D = 32  # units per program that computes one level


class TritonLoops(OnlyLoops):
    """A cell's loops over time on a GPU; arguments and results as in `CompiledLoops`.

    resident: whether one program computes all steps with the matrices loaded; None: if they fit.
    If `TRITON_INTERPRET=1` is set before triton is imported, everything runs on a CPU.
    """

    def __init__(self, schedule: Schedule, resident: bool | None = None) -> None:
        started = time.perf_counter()
        self.schedule = schedule
        self.resident = resident
        self.source = emit_triton(schedule)
        self._module = _module(self.source)
        self.compile_seconds = time.perf_counter() - started

    def width(self, depth: int) -> int:
        return depth

    def steps_forward(
        self,
        projected: Tensor,
        weights: Weights,
        initial: Tensor,
        rows: Rows,
        keep: bool,
    ) -> tuple[Tensor, Tensor]:
        batch, count = rows.batch, rows.total
        heads, depth = weights.on_h.shape[1:3]
        states = projected.new_empty(len(initial), batch + count, heads, depth)
        states[:, :batch] = initial.unflatten(2, (heads, depth))
        slots = count if keep else batch
        kept = projected.new_empty(len(self.schedule.kept), slots, heads, depth)
        arrays = (
            *(projected, weights.bias, weights.on_h, weights.diagonal),
            *(states, kept, _first(rows, states)),
        )
        flags = {"KEEP": keep, "RAGGED": rows.sizes is not None, "OUTPUTS": False}
        numbers = (batch, rows.steps, count)
        if self._stays(weights):
            self._launch("steps_forward", arrays, numbers, weights, flags)
        else:
            for t in range(rows.steps):
                for level in range(len(self.schedule.forward)):
                    self._launch(f"forward_{level}", arrays, (*numbers, t, 0), weights, flags)
        return states, kept

    def steps_backward(
        self,
        weights: Weights,
        states: Tensor,
        kept: Tensor,
        grad_outputs: Tensor | None,
        grad_last: Tensor,
        rows: Rows,
    ) -> tuple[Tensor, Tensor]:
        layout = self.schedule.layout
        batch, steps, hidden = rows.batch, rows.steps, weights.bias.shape[1]
        nodes = len(layout.linears) + len(layout.diagonals)
        grads = states.new_empty(rows.total, nodes, hidden)
        sums = _sum_type(states.dtype)
        carried = grad_last.to(_TORCH[sums]).repeat(2, 1, 1, 1)  # a sequence ends on either side
        partial = carried.new_empty(len(self.schedule.partial), batch, hidden)
        arrays = (
            *(weights.on_h, weights.diagonal, states, kept, _first(rows, states)),
            *(states if grad_outputs is None else grad_outputs, grads, carried, partial),
        )
        flags = {
            "KEEP": True,
            "RAGGED": rows.sizes is not None,
            "OUTPUTS": grad_outputs is not None,
        }
        numbers = (batch, steps, rows.total)
        if self._stays(weights):
            self._launch("steps_backward", arrays, numbers, weights, flags)
            return grads, carried[0].to(states.dtype)
        for step in range(steps):
            for level in range(len(self.schedule.reverse)):
                now = (*numbers, steps - 1 - step, step % 2)
                self._launch(f"backward_{level}", arrays, now, weights, flags)
        return grads, carried[steps % 2].to(states.dtype)

    def _stays(self, weights: Weights) -> bool:
        """Return whether a head's matrices stay loaded over all steps."""
        return (
            _resident_bytes(weights) <= RESIDENT_BYTES if self.resident is None else self.resident
        )

    def _launch(
        self,
        name: str,
        arrays: tuple[Tensor, ...],
        numbers: tuple[int, ...],
        weights: Weights,
        flags: dict[str, bool],
    ) -> None:
        """Start one program for each tile of sequences and panel of units."""
        _, heads, depth, _ = weights.on_h.shape
        padded = _padded(depth)
        block = padded if name.startswith("steps") else min(BLOCK_D, padded)
        kernel = getattr(self._module, name)
        kernel[(triton.cdiv(numbers[0], BLOCK_B), heads * triton.cdiv(depth, block))](
            *arrays,
            *numbers,
            N=heads,
            D=depth,
            SUM=_sum_type(weights.on_h.dtype),
            BLOCK_B=BLOCK_B,
            BLOCK_D=block,
            BLOCK_K=min(64, padded),
            num_warps=8 if name.startswith("steps") and _resident_bytes(weights) > 64 * 1024 else 4,
            num_stages=1 if name.startswith("steps") else 2,
            **flags,
        )


def _first(rows: Rows, like: Tensor) -> Tensor:
    """Return the first row of each step on the device; any tensor if the kernels do not read it."""
    return like if rows.first is None else rows.first.to(like.device)


def _padded(depth: int) -> int:
    """Return the block size for a head's units: a power of two that matrix units support."""
    return max(16, triton.next_power_of_2(depth))


def _resident_bytes(weights: Weights) -> int:
    """Return the shared memory of a head's matrices; float32 is stored in two parts (TF32)."""
    connections, _, depth, _ = weights.on_h.shape
    copies = 2 if weights.on_h.dtype == torch.float32 else 1
    return connections * _padded(depth) ** 2 * weights.on_h.element_size() * copies


_TORCH = {tl.float32: torch.float32, tl.float64: torch.float64}


def _sum_type(dtype: torch.dtype) -> tl.dtype:
    """Return the type of sums: float64 for float64, otherwise float32."""
    return tl.float64 if dtype == torch.float64 else tl.float32


def _module(source: str) -> ModuleType:
    """Import the source as a module, from a file because Triton reads the file again."""
    key = hashlib.sha256(source.encode()).hexdigest()[:32]
    path = cache_folder() / f"cell_{key}.py"
    if not path.exists() or path.read_text() != source:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, suffix=".py")
        with os.fdopen(handle, "w") as file:
            file.write(source)
        Path(name).replace(path)
    spec = importlib.util.spec_from_file_location(f"nas_cell_{key}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
