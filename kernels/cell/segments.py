"""Padded sequences as rows: cut at their ends, and at the steps at which their states are reset."""

from collections.abc import Callable

import torch
from torch import Tensor

from kernels.cell.rows import Packing, Rows

States = tuple[Tensor, ...]


class Segments:
    """The pieces of a batch of sequences between which states are reset.

    Each piece runs as a sequence of its own, so the packed rows hold pieces of all sequences.

    resets: whether a sequence can have several pieces.
    """

    def __init__(
        self, batch: int, steps: int, lengths: Tensor, starts: Tensor, fresh: Tensor
    ) -> None:
        """lengths: `[B]`; starts: booleans `[B, T]`, the first step of each piece; fresh: those
        that begin with zeros."""
        begins = starts.flatten().nonzero()[:, 0]  # [N], among the B * T steps
        self.owners = begins // steps
        ends = torch.cat([begins[1:], begins.new_tensor([batch * steps])])
        ends = torch.minimum(ends, self.owners * steps + lengths[self.owners])
        self.fresh = fresh.flatten()[begins]
        self.resets = len(begins) > batch or bool(self.fresh.any())
        self.packing = Packing(begins, ends - begins)
        self.rows = self.packing.rows
        self.last = torch.bincount(self.owners, minlength=batch).cumsum(0) - 1
        self.pack, self.unpack = self.packing.pack, self.packing.unpack

    def begin(self, states: Tensor) -> Tensor:
        """Return the first states of the pieces in their order, from those of the sequences.

        states: `[…, B, H]`
        """
        begun = states.index_select(-2, self.owners.to(states.device))
        if self.resets:
            begun = begun.masked_fill(self.fresh.to(states.device)[:, None], 0)
        return self.packing.sorted(begun)

    def end(self, states: Tensor) -> Tensor:
        """Return the last states of the sequences, from those of the pieces."""
        return self.packing.unsorted(states).index_select(-2, self.last.to(states.device))


def segments_of(x: Tensor, lengths: Tensor | None, resets: Tensor | None) -> Segments:
    """Return the pieces of x `[B, T, C]`. lengths: `[B]`; resets: booleans `[B, T]`.

    Raises `ValueError` if a size does not match.
    """
    batch, steps = x.shape[:2]
    if lengths is None:
        lengths = torch.full((batch,), steps)
    if lengths.shape != (batch,) or (batch and (lengths.min() < 0 or lengths.max() > steps)):
        raise ValueError(f"lengths must be {batch} numbers from 0 to {steps}")
    if resets is None:
        resets = torch.zeros(batch, steps, dtype=torch.bool)
    if tuple(resets.shape) != (batch, steps):
        raise ValueError(f"resets must be booleans for {batch} sequences of {steps} steps")
    lengths, fresh = lengths.to("cpu", torch.int64), resets.to("cpu", torch.bool)
    fresh = fresh & (torch.arange(steps) < lengths[:, None])
    starts = fresh.clone()
    starts[:, 0] = True
    return Segments(batch, steps, lengths, starts, fresh)


def run_padded(
    run: Callable[[Tensor, States, Rows | None], tuple[Tensor, States]],
    x: Tensor,
    state: States,
    lengths: Tensor | None,
) -> tuple[Tensor, States]:
    """Run padded sequences without their padding.

    run: computes outputs and last states from x, states and rows.
    x: `[B, T, C]`
    state: tensors `[B, H]`
    lengths: `[B]`; each output after the end is the last state
    """
    if lengths is None:
        return run(x, state, None)
    segments = segments_of(x, lengths, None)
    outputs, last = run(segments.pack(x), tuple(map(segments.begin, state)), segments.rows)
    last = tuple(map(segments.end, last))
    ended = torch.arange(x.shape[1], device=x.device) >= lengths.to(x.device)[:, None]
    padded = segments.unpack(outputs, *x.shape[:2])
    return torch.where(ended[:, :, None], last[0][:, None], padded), last
