"""Sequences of different lengths as rows without padding: step by step, the longest ones first."""

from functools import cached_property
from itertools import pairwise

import torch
from torch import Tensor


class Rows:
    """Which sequences each step has.

    batch: B, how many sequences there are.
    steps: T, how many steps the longest one has.
    sizes: `[T]`, on the CPU: step t has the first sizes[t] sequences, as in `PackedSequence`; None
        if all sequences have T steps.

    The R rows of a packed tensor are ordered by step, then by sequence. States have B more rows
    before them, for the initial states.
    """

    def __init__(self, batch: int, steps: int, sizes: Tensor | None = None) -> None:
        self.batch, self.steps, self.sizes = batch, steps, sizes

    @cached_property
    def total(self) -> int:
        """R, the number of rows."""
        return self.batch * self.steps if self.sizes is None else int(self.sizes.sum())

    @cached_property
    def first(self) -> Tensor | None:
        """`[T + 2]`: the first row of the initial states, of each step's states, and the end."""
        if self.sizes is None:
            return None
        counts = torch.cat([self.sizes.new_tensor([0, self.batch]), self.sizes])
        return counts.cumsum(0)

    def spans(self) -> list[tuple[int, int]]:
        """Return each step's first row and the row after its last."""
        sizes = [self.batch] * self.steps if self.sizes is None else self.sizes.tolist()
        ends = torch.tensor([0, *sizes]).cumsum(0).tolist()
        return list(pairwise(ends))

    @cached_property
    def lengths(self) -> Tensor:
        """`[B]`: the length of each sequence."""
        if self.sizes is None:
            return torch.full((self.batch,), self.steps)
        return (self.sizes > torch.arange(self.batch)[:, None]).sum(1)

    @cached_property
    def ends(self) -> Tensor:
        """`[B]`: the row of each sequence's last state, among the states."""
        return self._state_rows(self.lengths, torch.arange(self.batch))

    @cached_property
    def before(self) -> Tensor:
        """`[R]`: the row of the previous state of each row, among the states."""
        step, sequence = self._numbers
        return self._state_rows(step, sequence)

    @cached_property
    def reversed(self) -> Tensor:
        """`[R]`: the rows in which every sequence runs from its end."""
        step, sequence = self._numbers
        turned = self.lengths[sequence] - 1 - step
        return self._state_rows(turned + 1, sequence) - self.batch

    @cached_property
    def _numbers(self) -> tuple[Tensor, Tensor]:
        """The step and the sequence of each row."""
        sizes = torch.full((self.steps,), self.batch) if self.sizes is None else self.sizes
        step = torch.arange(self.steps).repeat_interleave(sizes)
        return step, torch.arange(self.total) - (sizes.cumsum(0) - sizes)[step]

    def _state_rows(self, slot: Tensor, sequence: Tensor) -> Tensor:
        begin = slot * self.batch if self.first is None else self.first[slot]
        return begin + sequence


class Packing:
    """Where the rows of sequences lie in a padded batch.

    begins: `[N]`: where each sequence begins among the B·T steps of the batch, flattened.
    lengths: `[N]`, each from 0.
    """

    def __init__(self, begins: Tensor, lengths: Tensor) -> None:
        self.order = lengths.argsort(descending=True, stable=True)
        longest = int(lengths.max()) if len(lengths) else 0
        sizes = (lengths > torch.arange(longest)[:, None]).sum(1)
        self.rows = Rows(len(lengths), longest, sizes)
        step, sequence = self.rows._numbers
        self.places = begins[self.order][sequence] + step
        self.back = torch.empty_like(self.order)
        self.back[self.order] = torch.arange(len(lengths))

    def pack(self, x: Tensor) -> Tensor:
        """Return the rows `[R, C]` of x `[B, T, C]`."""
        return x.flatten(0, 1).index_select(0, self.places.to(x.device))

    def unpack(self, rows: Tensor, batch: int, steps: int) -> Tensor:
        """Return rows `[R, H]` as `[batch, steps, H]`, zeros for steps without a row."""
        flat = rows.new_zeros(batch * steps, rows.shape[1])
        return flat.index_copy(0, self.places.to(rows.device), rows).unflatten(0, (batch, steps))

    def sorted(self, state: Tensor) -> Tensor:
        """Return states `[…, N, H]` in the order of the rows, the longest sequence first."""
        return state.index_select(-2, self.order.to(state.device))

    def unsorted(self, state: Tensor) -> Tensor:
        """Undo `sorted`."""
        return state.index_select(-2, self.back.to(state.device))
