"""Recurrent layers on top of each other, in one or both directions, called as those of PyTorch."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence

from kernels.cell.rows import Rows
from kernels.cell.segments import Segments, segments_of

States = tuple[Tensor, ...]  # S tensors `[L, B, H]`; L counts directions, too


class Stack(nn.Module):
    """Runs layers of cells as `torch.nn.LSTM` runs its own.

    A class that inherits this has the attributes of `torch.nn.RNNBase` that are declared here, and
    defines `run_layer`.

    state_sizes: the width of each state.
    """

    input_size: int
    num_layers: int
    batch_first: bool
    dropout: float
    bidirectional: bool

    @property
    def state_sizes(self) -> tuple[int, ...]:
        raise NotImplementedError

    def run_layer(
        self, number: int, x: Tensor, state: States, rows: Rows | None
    ) -> tuple[Tensor, States]:
        """Run one layer in one direction; both directions of a layer have adjacent numbers.

        x: `[B, T, C]`, or `[R, C]` with `rows`
        state: S tensors `[B, H]`
        """
        raise NotImplementedError

    def forward(
        self,
        input: Tensor | PackedSequence,
        hx: Tensor | Sequence[Tensor] | None = None,
        *,
        lengths: Tensor | None = None,
        resets: Tensor | None = None,
    ) -> tuple[Any, Any]:
        """Take and return what PyTorch's layers do.

        input: `[T, B, C]`, `[B, T, C]` if `batch_first`, `[T, C]`, or a `PackedSequence`
        hx: the first states, zeros when absent: `[L, B, H]`, or a tuple of these
        lengths: `[B]`; outputs after a sequence's end are zeros, last states are those at its end
        resets: booleans in the shape of the input without C, true at the steps before which the
            states become zeros, such as the first steps of episodes
        Returns the outputs of the last layer and the last states.
        Raises `RuntimeError` or `ValueError` if a size does not match, as PyTorch's layers do.
        """
        given: States = (hx,) if isinstance(hx, Tensor) else tuple(hx or ())
        if isinstance(input, PackedSequence):
            if lengths is not None or resets is not None:
                raise ValueError("a PackedSequence has its own lengths: pass it alone")
            y, last = self._run_packed(input, given)
        elif input.dim() == 2:  # one sequence without a batch
            y, last = self._run_single(input, given, lengths, resets)
        else:
            y, last = self._run_batch(input, given, lengths, resets)
        return y, last[0] if len(last) == 1 else last

    def step(self, x: Tensor, hx: Tensor | Sequence[Tensor] | None = None) -> tuple[Tensor, Any]:
        """Run a single step, as in streaming and generation.

        x: `[B, C]`
        hx: the states that the last step returned; zeros when absent
        Returns the output `[B, H]` and the states.
        """
        time = 1 if self.batch_first else 0
        y, last = self(x.unsqueeze(time), hx)
        return y.squeeze(time), last

    def _run_single(
        self, x: Tensor, given: States, lengths: Tensor | None, resets: Tensor | None
    ) -> tuple[Tensor, States]:
        for part in given:
            if part.dim() != 2:
                raise RuntimeError(
                    f"For unbatched 2-D input, hx should also be 2-D but got {part.dim()}-D tensor"
                )
        if lengths is not None:
            raise ValueError("a single sequence takes no lengths: cut it to its length")
        place = 0 if self.batch_first else 1
        turned = None if resets is None else resets.unsqueeze(place)
        states = tuple(part.unsqueeze(1) for part in given)
        y, last = self._run_batch(x.unsqueeze(place), states, None, turned)
        return y.squeeze(place), tuple(part.squeeze(1) for part in last)

    def _run_batch(
        self, x: Tensor, given: States, lengths: Tensor | None, resets: Tensor | None
    ) -> tuple[Tensor, States]:
        if x.dim() != 3:
            raise ValueError(
                f"{type(self).__name__}: Expected input to be 2D or 3D, got {x.dim()}D instead"
            )
        for part in given:
            if part.dim() != 3:
                raise RuntimeError(
                    f"For batched 3-D input, hx should also be 3-D but got {part.dim()}-D tensor"
                )
        x = x if self.batch_first else x.transpose(0, 1)
        if x.shape[1] == 0:
            raise ValueError(f"the input {tuple(x.shape)} has no steps")
        states = self._states(x, len(x), given)
        if lengths is None and resets is None:
            y, last = self._run(x, states, None)
        else:
            if resets is not None and not self.batch_first:
                resets = resets.T
            y, last = self._run_segments(x, states, segments_of(x, lengths, resets))
        return (y if self.batch_first else y.transpose(0, 1).contiguous()), last

    def _run_segments(self, x: Tensor, states: States, segments: Segments) -> tuple[Tensor, States]:
        if self.bidirectional and segments.resets:
            raise ValueError("resets go forward in time: use a layer that is not bidirectional")
        begun = tuple(segments.begin(part) for part in states)
        y, last = self._run(segments.pack(x), begun, segments.rows)
        ended = tuple(segments.end(part) for part in last)
        return segments.unpack(y, *x.shape[:2]), ended

    def _run_packed(self, packed: PackedSequence, given: States) -> tuple[PackedSequence, States]:
        """Run the sequences in the order in which they are packed, longest first."""
        data, sizes, order, back = packed
        rows = Rows(int(sizes[0]), len(sizes), sizes)
        states = self._states(data, rows.batch, given)
        if order is not None:
            states = tuple(part.index_select(1, order) for part in states)
        y, last = self._run(data, states, rows)
        if back is not None:
            last = tuple(part.index_select(1, back) for part in last)
        return PackedSequence(y, sizes, order, back), last

    def _states(self, x: Tensor, batch: int, given: States) -> States:
        """Check the input and the first states; return zeros if there are none."""
        self._check_input(x)
        layers = self.num_layers * (2 if self.bidirectional else 1)
        shapes = [(layers, batch, size) for size in self.state_sizes]
        if not given:
            return tuple(x.new_zeros(shape) for shape in shapes)
        if len(given) != len(shapes):
            raise RuntimeError(f"hx has {len(given)} tensors, expected {len(shapes)}")
        for i, (part, shape) in enumerate(zip(given, shapes, strict=True)):
            if tuple(part.shape) != shape:
                name = f"hidden[{i}]" if len(shapes) > 1 else "hidden"
                raise RuntimeError(f"Expected {name} size {shape}, got {list(part.shape)}")
        return given

    def _check_input(self, x: Tensor) -> None:
        if x.shape[-1] != self.input_size:
            raise RuntimeError(
                "input.size(-1) must be equal to input_size. "
                f"Expected {self.input_size}, got {x.shape[-1]}"
            )
        dtype = next(self.parameters()).dtype
        if x.dtype != dtype and not torch.is_autocast_enabled(x.device.type):
            raise ValueError(
                f"RNN input dtype ({x.dtype}) does not match weight dtype ({dtype}). "
                f"Convert input: input.to({dtype}), or convert model: model.to({x.dtype})"
            )

    def _run(self, x: Tensor, given: States, rows: Rows | None) -> tuple[Tensor, States]:
        """Run all layers over `[B, T, C]`, or over rows `[R, C]`."""
        ways = 2 if self.bidirectional else 1
        lasts: list[States] = []
        for layer in range(self.num_layers):
            if layer:
                x = functional.dropout(x, self.dropout, self.training)
            outputs = []
            for way in range(ways):
                number = ways * layer + way
                turned = _reversal(rows) if way else _straight
                state = tuple(part[number] for part in given)
                y, last = self.run_layer(number, turned(x), state, rows)
                outputs.append(turned(y))
                lasts.append(last)
            x = torch.cat(outputs, dim=-1) if ways > 1 else outputs[0]
        return x, tuple(torch.stack(part) for part in zip(*lasts, strict=True))


def _straight(x: Tensor) -> Tensor:
    return x


def _reversal(rows: Rows | None) -> Callable[[Tensor], Tensor]:
    """Return the function that turns sequences round in time, and back."""
    if rows is None:
        return lambda x: x.flip(1)
    return lambda x: x.index_select(0, rows.reversed.to(x.device))
