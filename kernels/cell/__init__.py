"""Recurrent cells: described once, compiled for the current machine."""

from kernels.cell.op import backends, compile_cell

__all__ = ["backends", "compile_cell"]
