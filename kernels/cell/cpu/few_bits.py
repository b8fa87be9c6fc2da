"""Loops for inference whose weights, and what they multiply, have 8 or 16 bits.

int8: a scale per unit and matrix for the weights, and one per row of numbers, taken from the
numbers themselves ("dynamic"). bfloat16: both are rounded. Sums are 32 bits wide, and everything
between the products is float32.
"""

import ctypes
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from kernels.cell.cpu.build import build
from kernels.cell.cpu.loops import CompiledLoops
from kernels.cell.cpu.products import WORTH_THREADS
from kernels.cell.cpu.scratch import UntilChanged, scratch
from kernels.cell.cpu.sparse import Fans, fans_of
from kernels.cell.cpu.storage import INT8
from kernels.cell.cpu.structs import function_of, number_of
from kernels.cell.schedule import Schedule
from kernels.cell.weights import Weights

LARGEST = 127  # of int8, symmetric around 0


class Packed(NamedTuple):
    """A matrix for few_bits.c: panels of words, or the values of fans; scales and offsets."""

    words: Tensor
    scales: Tensor
    offsets: Tensor


class _Projection(ctypes.Structure):
    """The struct `projection` in few_bits.c."""

    _fields_ = [
        *((name, ctypes.c_long) for name in ("rows", "columns", "depth", "threads")),
        *(("x", ctypes.c_void_p), ("x_row", ctypes.c_long)),
        *((name, ctypes.c_void_p) for name in ("words", "scales", "offsets")),
        *((name, ctypes.c_void_p) for name in ("out", "narrowed")),
    ]


class FewBitLoops(CompiledLoops):
    """A cell's forward loop with weights of few bits.

    bits: "int8" or "bfloat16".
    mask: booleans `[connections, N, D, D]`, True where a recurrent weight is left; None for all.
        The removed ones are not read if the processor can permute so small numbers in registers;
        otherwise they are stored as zeros.
    """

    def __init__(self, schedule: Schedule, bits: str, mask: Tensor | None = None) -> None:
        self.stored = bits
        super().__init__(schedule, torch.float32)
        library = build(self.source)
        self._per, self._window, self._offset, has_fans = (
            number_of(library, name) for name in ("per", "window", "offset", "few_bits_fans")
        )
        self._project = function_of(library, "project", _Projection)
        self._mask, self._fans = mask, None
        if mask is not None and has_fans:
            size = (self._panel // 2, self._window, self._per)
            self._fans = fans_of(mask, torch.arange(mask.numel()).view(mask.shape), *size)
        self._on_x = UntilChanged(lambda on_x: self._packed(on_x.flatten(0, 1), None))
        self._on_h = UntilChanged(self._recurrent_packed)

    def _projection(self, flat: Tensor, weights: Weights) -> dict[str, Tensor]:
        """Return the products with x of all steps, in few bits."""
        rows, depth = flat.shape
        columns = weights.on_x.shape[0] * weights.on_x.shape[1]
        packed = self._on_x(weights.on_x)
        out = scratch.room("projected", flat.dtype, rows, columns)
        narrowed = scratch.room("narrowed", torch.int32, rows * self._words(depth))
        large = rows * columns * depth >= WORTH_THREADS
        self._project(
            ctypes.byref(
                _Projection(
                    *(rows, columns, depth, torch.get_num_threads() if large else 1),
                    *(flat.data_ptr(), flat.stride(0)),
                    *(part.data_ptr() for part in packed),
                    *(out.data_ptr(), narrowed.data_ptr()),
                )
            )
        )
        return {"projected": out}

    def _words(self, depth: int) -> int:
        """Return the words of a row of numbers, in whole windows."""
        return -(-depth // self._window) * (self._window // self._per)

    def _recurrent(
        self, weights: Weights, batch: int, padded: int, backward: bool
    ) -> dict[str, Tensor]:
        heads, depth = weights.on_h.shape[1:3]
        slots = max(1, len(self.schedule.cell.nodes))
        packed = self._on_h(weights.on_h)
        arrays = {
            "scales": packed.scales,
            "offsets": packed.offsets,
            "narrowed": scratch.room(
                "narrowed", torch.int32, slots * batch * heads * self._words(depth)
            ),
            "narrowed_scales": scratch.room("scales", torch.float32, slots * batch * heads),
        }
        if self._fans is None:
            return arrays | {"words": packed.words}
        fans = {"fans": self._fans.starts, "fan_columns": self._fans.columns}
        return arrays | fans | {"fan_values": packed.words}

    def _recurrent_packed(self, on_h: Tensor) -> Packed:
        if self._mask is not None:
            on_h = on_h * self._mask
        return self._packed(on_h, self._fans)

    def _packed(self, weights: Tensor, fans: Fans | None) -> Packed:
        """Return matrices `[…, units, columns]`; the units of each fill whole panels."""
        weights = weights.detach()
        *_, units, columns = weights.shape
        padding = (0, -columns % self._per, 0, -units % self._panel)
        if self.stored == INT8:
            scales = weights.abs().amax(-1, keepdim=True) / LARGEST
            parts = (weights / scales.where(scales > 0, 1)).round().to(torch.int8)
            offsets = parts.sum(-1, dtype=torch.int32) * self._offset
        else:
            scales = weights.new_ones(*weights.shape[:-1], 1)
            parts = weights.to(torch.bfloat16)
            offsets = torch.zeros(weights.shape[:-1], dtype=torch.int32)
        of_units = (0, -units % self._panel)
        return Packed(
            self._in_panels(functional.pad(parts, padding))
            if fans is None
            else torch.where(fans.real, parts.flatten()[fans.places], 0),
            functional.pad(scales.squeeze(-1), of_units).contiguous(),
            functional.pad(offsets, of_units).contiguous(),
        )

    def _in_panels(self, parts: Tensor) -> Tensor:
        """Return `[panels, groups of columns, units of a panel, columns of a group]`."""
        panels = parts.flatten(0, -2).unflatten(0, (-1, self._panel))
        return panels.unflatten(2, (-1, self._per)).transpose(1, 2).contiguous()
