"""Matrix products over all steps at once, with the same vector code as the loops.

On two processors that we measured, torch's library reaches half the speed of its own oneDNN and of
this code, and oneDNN halves again if both factors are transposed. Which is fastest changes with the
machine's load; we always use this one, so that equal seeds give equal numbers.
"""

import ctypes
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from kernels.cell.cpu.build import CannotCompile, build
from kernels.cell.cpu.emit import emit_products
from kernels.cell.cpu.scratch import scratch
from kernels.cell.cpu.structs import function_of, number_of

DEPTH = 256  # as in products.c
WORTH_THREADS = 10_000_000  # multiplications


class _Arguments(ctypes.Structure):
    """The struct `arguments` in products.c."""

    _fields_ = [
        *((name, ctypes.c_long) for name in ("rows", "columns", "depth", "threads")),
        *(("a", ctypes.c_void_p), ("a_row", ctypes.c_long), ("a_step", ctypes.c_long)),
        *(("b", ctypes.c_void_p), ("b_row", ctypes.c_long), ("b_step", ctypes.c_long)),
        *(("out", ctypes.c_void_p), ("packed", ctypes.c_void_p)),
    ]


@cache
def library(dtype: torch.dtype) -> tuple[Callable[..., None], int]:
    """Return the compiled product of a dtype and its panel; raises `CannotCompile`."""
    built = build(emit_products("float" if dtype == torch.float32 else "double"))
    return function_of(built, "multiply", _Arguments), number_of(built, "panel")


def instructions() -> str:
    """Return the vector instructions that C is compiled to, such as "AVX-512 with VNNI"."""
    try:
        library = build(emit_products("float"))
    except CannotCompile:
        return "none: no C compiler"
    return (ctypes.c_char_p.in_dll(library, "instructions").value or b"").decode()


def multiply(a: Tensor, b: Tensor) -> Tensor:
    """Return a·bᵀ, `[M, N]`. a: `[M, K]`, b: `[N, K]`, float32 or float64, with any strides."""
    function, panel = library(a.dtype)
    rows, depth = a.shape
    columns = len(b)
    out = a.new_empty(rows, columns)
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
