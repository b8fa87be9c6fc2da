"""Recurrent cells: described once, compiled for the current machine."""

from typing import Any

PUBLIC = ("backends", "compile_cell")


def __getattr__(name: str) -> Any:
    """Return a public function, imported when first used: `kernels.cell.spec` needs no torch."""
    if name in PUBLIC:
        from kernels.cell import op

        return getattr(op, name)
    raise AttributeError(f"module kernels.cell has no {name}")
