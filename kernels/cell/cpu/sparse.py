"""Loops whose recurrent weights are lists of the weights that a mask keeps."""

import ctypes
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from kernels.cell.cpu.build import build
from kernels.cell.cpu.loops import CompiledLoops
from kernels.cell.cpu.scratch import scratch
from kernels.cell.schedule import Schedule
from kernels.cell.weights import Weights

UNITS, COLUMNS = 16, 32  # size of a fan


class Lists(NamedTuple):
    """Lists by matrix row: their starts, the columns, and the positions in `Weights.on_h`."""

    starts: Tensor
    columns: Tensor
    places: Tensor


class Fans(NamedTuple):
    """Blocks of 16 units and 32 columns: the start of each fan, and the columns, positions and
    validity of its weights."""

    starts: Tensor
    columns: Tensor
    places: Tensor
    real: Tensor


class SparseLoops(CompiledLoops):
    """A cell's loops for one mask of `Weights.on_h`; they never read removed weights.

    mask: booleans `[connections, N, D, D]`, True where a weight is left.
    The loops use one thread, because so few weights are left that sharing them does not pay off.
    """

    listed = True

    def __init__(self, schedule: Schedule, dtype: torch.dtype, mask: Tensor) -> None:
        super().__init__(schedule, dtype)
        library = build(self.source)
        self._rows, self._wide, has_fans = (
            ctypes.c_long.in_dll(library, name).value
            for name in ("rows_of_a_block", "wide", "has_fans")
        )
        numbered = torch.arange(mask.numel()).view(mask.shape)
        self._lists = _lists(mask, numbered), _lists(mask.mT, numbered.mT)
        self._fans = _fans(mask, numbered) if has_fans else None
        self._fanned: tuple[Tensor, int, Tensor] | None = None

    def _recurrent(
        self, weights: Weights, batch: int, padded: int, backward: bool
    ) -> dict[str, Tensor]:
        if batch == 1 and self._fans is not None and not backward:
            fans = self._fans
            values = self._fan_values(weights.on_h, fans)
            return {"fans": fans.starts, "fan_columns": fans.columns, "fan_values": values}
        lists, heads = self._lists[backward], weights.on_h.shape[1]
        slots = max(1, len(self.schedule.layout.linears), len(self.schedule.cell.nodes))
        blocks = -(-batch // self._rows)
        values = weights.on_h.flatten()[lists.places]
        size = slots * blocks * heads * padded * self._wide
        turned = scratch.room("turned", values.dtype, size)
        return {
            "starts": lists.starts,
            "columns": lists.columns,
            "values": values,
            "turned": turned,
        }

    def _fan_values(self, on_h: Tensor, fans: Fans) -> Tensor:
        """Return the weights in the order of fans, cached until the weights change."""
        version = -1 if on_h.is_inference() else on_h._version
        if self._fanned and version != -1:
            last, then, values = self._fanned
            if last.data_ptr() == on_h.data_ptr() and then == version:
                return values
        values = torch.where(fans.real, on_h.flatten()[fans.places], 0)
        self._fanned = on_h.detach(), version, values
        return values


def _lists(mask: Tensor, numbered: Tensor) -> Lists:
    rows = mask.flatten(0, -2)
    counts = rows.sum(dim=1)
    starts = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    return Lists(starts, rows.nonzero()[:, 1].int(), numbered.flatten(0, -2)[rows])


def _fans(mask: Tensor, numbered: Tensor) -> Fans:
    """Return the fans; each is as long as its longest list, and zeros pad the other lists."""
    depth = mask.shape[-1]
    padding = (0, -depth % COLUMNS, 0, -depth % (2 * UNITS))
    left, places = functional.pad(mask, padding), functional.pad(numbered, padding)
    left, places = (  # [groups of units, groups of columns, 16, 32]
        part.flatten(0, -2).unflatten(0, (-1, UNITS)).unflatten(2, (-1, COLUMNS)).transpose(1, 2)
        for part in (left, places)
    )
    lengths = left.sum(dim=-1).amax(dim=-1).flatten()
    starts = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
    turns = (left.cumsum(dim=-1) - 1)[left]  # a weight's position in its unit's list
    fan, unit, column = left.flatten(0, 1).nonzero().T
    at = (starts[fan] + turns) * UNITS + unit
    size = int(starts[-1]) * UNITS
    columns = torch.zeros(size, dtype=torch.uint8).index_put_((at,), column.to(torch.uint8))
    where = torch.zeros(size, dtype=torch.long).index_put_((at,), places[left])
    real = torch.zeros(size, dtype=torch.bool).index_fill_(0, at, True)
    return Fans(starts.int(), columns, where, real)
