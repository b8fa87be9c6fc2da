"""Writes the C of one recurrence."""

from pathlib import Path

import torch

from kernels.cell.cpu.loops import REALS
from kernels.mixer.spec import Recurrence

TEXT = Path(__file__).parent / "mixer.c"


def emit_mixer(recurrence: Recurrence, dtype: torch.dtype) -> str:
    """Return the C source for tensors of float32 or float64."""
    numbers = {
        "REAL_BYTES": dtype.itemsize,
        "KEYS": recurrence.keys,
        "VALUES": recurrence.values,
        "WRITES": recurrence.writes,
        "DECAYS": recurrence.decays,
        "ERASE": ("none", "key", "own").index(recurrence.erase),
    }
    defines = [f"#define {name} {number}" for name, number in numbers.items()]
    text = TEXT.read_text(encoding="utf-8").replace("ROW_SUMS\n", _row_sums_of_all_widths())
    return "\n".join([f"typedef {REALS[dtype]} real;", *defines, text])


def _row_sums_of_all_widths() -> str:
    """Return the C of `row_sums` for the number of lanes that the processor has."""
    return "".join(f"#if LANES == {n}\n{_row_sums(n)}\n#endif\n" for n in (2, 4, 8, 16))


def _row_sums(lanes: int) -> str:
    """Return the C of `row_sums`, which sums each of LANES vectors into one number.

    Each stage adds the halves of every group of lanes, and puts the results of two vectors side by
    side: half as many vectors with twice as many rows.
    """
    lines = ["static inline void row_sums(real *to, const vector *rows) {"]
    names, group = [f"rows[{i}]" for i in range(lanes)], lanes
    while len(names) > 1:
        half = group // 2
        low = [s + g + i for s in (0, lanes) for g in range(0, lanes, group) for i in range(half)]
        masks = [", ".join(map(str, each)) for each in (low, [i + half for i in low])]
        sums = []
        for i in range(0, len(names), 2):
            name = f"s{lanes // half}_{i // 2}"
            parts = [
                f"__builtin_shufflevector({names[i]}, {names[i + 1]}, {mask})" for mask in masks
            ]
            lines.append(f"  const vector {name} = {' + '.join(parts)};")
            sums.append(name)
        names, group = sums, half
    lines += [f"  __builtin_memcpy(to, &{names[0]}, sizeof(vector));", "}"]
    return "\n".join(lines)
