"""Writes the C of a cell: its levels, its loops over time, and the code that all cells share."""

from pathlib import Path

from kernels.cell.cpu.emit_levels import emit_forward_level, emit_reverse_level
from kernels.cell.cpu.emit_loops import emit_backward_loop, emit_forward_loop
from kernels.cell.cpu.storage import BFLOAT16, DENSE, FEW_BITS, INT8, LISTS
from kernels.cell.schedule import Schedule

FOLDER = Path(__file__).parent
_AROUND = ("products.c", "weights.c")
_TEXTS = {
    DENSE: _AROUND,
    LISTS: (*_AROUND, "sparse.c"),
    INT8: ("few_bits.c",),
    BFLOAT16: ("few_bits.c",),
}


def emit_c(schedule: Schedule, real: str, stored: str = DENSE) -> str:
    """Return the C source of a cell.

    real: "float" or "double". stored: how the recurrent weights are stored: `DENSE`; `LISTS` of
        the unmasked ones; `INT8` or `BFLOAT16`, which have no backward pass.
    """
    gradients = len(schedule.layout.linears) + len(schedule.layout.diagonals)
    forward, reverse = range(len(schedule.forward)), range(len(schedule.reverse))
    parts = [
        f"#define STORED_AS_{stored.upper()}\n{vectors(real)}",
        f"#define STATES {schedule.cell.states}",
        f"#define READING_X {schedule.layout.reading_x}",
        f"#define GRADIENTS {gradients}",
        f"#define LINEARS {len(schedule.layout.linears)}",
        *((FOLDER / name).read_text() for name in ("prelude.c", *_TEXTS[stored])),
        *(emit_forward_level(schedule, level, stored) for level in forward),
        emit_forward_loop(schedule, stored),
    ]
    if stored not in FEW_BITS:
        parts += [emit_reverse_level(schedule, level, stored) for level in reverse]
        parts.append(emit_backward_loop(schedule, stored))
    return "\n".join(parts)


def emit_products(real: str) -> str:
    """Return the C source of the matrix product. real: "float" or "double"."""
    return vectors(real) + (FOLDER / "products.c").read_text()


def vectors(real: str) -> str:
    """Return the C of vectors and unit functions. real: "float" or "double"."""
    header = f"typedef {real} real;\n"
    if real == "float":
        header += "#define REAL_IS_FLOAT\n"
    return "".join([header, *((FOLDER / name).read_text() for name in ("vectors.c", "units.c"))])
