"""Loops whose recurrent weights are lists of the weights that a mask keeps."""

import ctypes
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from kernels.cell.cpu.build import build
from kernels.cell.cpu.loops import CompiledLoops
from kernels.cell.cpu.scratch import UntilChanged, scratch
from kernels.cell.cpu.storage import LISTS
from kernels.cell.schedule import Schedule
from kernels.cell.weights import Weights

FAN = (16, 32, 1)  # units, columns, and numbers that a unit picks at a time


class Lists(NamedTuple):
    """Lists by matrix row: their starts, the columns, and the positions in `Weights.on_h`."""

    starts: Tensor
    columns: Tensor
    places: Tensor


class Fans(NamedTuple):
    """Blocks of some units and columns: the start of each fan, and the columns, positions and
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

    stored = LISTS

    def __init__(self, schedule: Schedule, dtype: torch.dtype, mask: Tensor) -> None:
        super().__init__(schedule, dtype)
        library = build(self.source)
        self._rows, self._wide, has_fans = (
            ctypes.c_long.in_dll(library, name).value
            for name in ("rows_of_a_block", "wide", "has_fans")
        )
        numbered = torch.arange(mask.numel()).view(mask.shape)
        self._lists = _lists(mask, numbered), _lists(mask.mT, numbered.mT)
        self._fans = fans_of(mask, numbered, *FAN) if has_fans else None
        self._fan_values = UntilChanged(self._in_fans)

    def _recurrent(
        self, weights: Weights, batch: int, padded: int, backward: bool
    ) -> dict[str, Tensor]:
        if batch == 1 and self._fans is not None and not backward:
            fans, values = self._fans, self._fan_values(weights.on_h)
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

    def _in_fans(self, on_h: Tensor) -> Tensor:
        assert self._fans is not None, "only called if there are fans"
        return torch.where(self._fans.real, on_h.detach().flatten()[self._fans.places], 0)


def _lists(mask: Tensor, numbered: Tensor) -> Lists:
    rows = mask.flatten(0, -2)
    counts = rows.sum(dim=1)
    starts = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    return Lists(starts, rows.nonzero()[:, 1].int(), numbered.flatten(0, -2)[rows])


def fans_of(mask: Tensor, numbered: Tensor, units: int, columns: int, per: int) -> Fans:
    """Return the fans of a mask; each is as long as its longest list, and zeros pad the others.

    A unit picks `per` numbers at a time. numbered: the position of each weight.
    """
    depth = mask.shape[-1]
    padding = (0, -depth % columns, 0, -depth % (2 * units))
    left, places = functional.pad(mask, padding), functional.pad(numbered, padding)
    left, places = (  # [groups of units, groups of columns, units, columns]
        part.flatten(0, -2).unflatten(0, (-1, units)).unflatten(2, (-1, columns)).transpose(1, 2)
        for part in (left, places)
    )
    longest = left.sum(dim=-1).amax(dim=-1).flatten()
    lengths = (longest + per - 1) // per
    starts = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
    turns = (left.cumsum(dim=-1) - 1)[left]  # a weight's position in its unit's list
    fan, unit, column = left.flatten(0, 1).nonzero().T
    at = ((starts[fan] + turns // per) * units + unit) * per + turns % per
    size = int(starts[-1]) * units * per
    picks = torch.zeros(size, dtype=torch.uint8).index_put_((at,), column.to(torch.uint8))
    where = torch.zeros(size, dtype=torch.long).index_put_((at,), places[left])
    real = torch.zeros(size, dtype=torch.bool).index_fill_(0, at, True)
    return Fans(starts.int(), picks, where, real)
