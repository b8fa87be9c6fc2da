"""Matrix products over all steps at once, by the same vectors as the loops.

On two processors of this kind torch's library reaches half of what its own oneDNN and this do, and
oneDNN half of it again where both factors are transposed. Which of them is fastest changes with
the load of the machine; this one is always taken, so that equal seeds give equal numbers.
"""

import ctypes
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from kernels.cell.cpu.build import build
from kernels.cell.cpu.emit import emit_products
from kernels.cell.cpu.scratch import scratch

DEPTH = 256  # as in products.c
WORTH_THREADS = 10_000_000  # multiplications


class _Arguments(ctypes.Structure):
    """The struct of that name in products.c."""

    _fields_ = [
        *((name, ctypes.c_long) for name in ("rows", "columns", "depth", "threads")),
        *(("a", ctypes.c_void_p), ("a_row", ctypes.c_long), ("a_step", ctypes.c_long)),
        *(("b", ctypes.c_void_p), ("b_row", ctypes.c_long), ("b_step", ctypes.c_long)),
        *(("out", ctypes.c_void_p), ("packed", ctypes.c_void_p)),
    ]


@cache
def _library(dtype: torch.dtype) -> tuple[Callable[..., None], int]:
    library = build(emit_products("float" if dtype == torch.float32 else "double"))
    library.multiply.argtypes, library.multiply.restype = [ctypes.POINTER(_Arguments)], None
    return library.multiply, ctypes.c_long.in_dll(library, "panel").value


def multiply(a: Tensor, b: Tensor, into: Tensor | None = None) -> Tensor:
    """a·bᵀ, float32 or float64. a: `[M, K]`, b: `[N, K]`, any strides; returns `[M, N]`."""
    function, panel = _library(a.dtype)
    rows, depth = a.shape
    columns = len(b)
    out = a.new_empty(rows, columns) if into is None else into
    if depth == 0:
        return out.zero_()
    large = rows * columns * depth >= WORTH_THREADS
    room = DEPTH * -(-columns // panel) * panel
    packed = scratch.room("products", a.dtype, room)
    function(
        ctypes.byref(
            _Arguments(
                *(rows, columns, depth, torch.get_num_threads() if large else 1),
                *(a.data_ptr(), *a.stride()),
                *(b.data_ptr(), b.stride(1), b.stride(0)),
                *(out.data_ptr(), packed.data_ptr()),
            )
        )
    )
    return out
