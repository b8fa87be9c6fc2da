"""Recurrent cells: described once, compiled for the machine at hand."""

from kernels.cell.op import backends, compile_cell

__all__ = ["backends", "compile_cell"]
