"""PyTorch's LSTM, GRU and RNN layers with a forward pass on compiled cells."""

from collections.abc import Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from kernels.cell.left import Left
from kernels.cell.op import run_cell
from kernels.cell.spec import CellSpec
from kernels.cell.weights import Weights, layout_of
from search_spaces.rnn_cell.zoo import ZOO

GATES = ("input", "forget", "new", "output")
LSTM = {name: ZOO["lstm"][name] for name in GATES} | ZOO["lstm"]  # the gates in PyTorch's order
GRU = {  # PyTorch's: the reset gate behind the matrix, Cho et al. 2014 and our zoo have it before
    "reset": {"op": "linear", "input": ["x", "h_prev_0"]},
    "update": {"op": "linear", "input": ["x", "h_prev_0"]},
    "new": {"op": "linear", "input": ["x"]},
    "memory": {"op": "linear", "input": ["h_prev_0"]},
    "reset_gate": {"op": "activation_sigm", "input": ["reset"]},
    "update_gate": {"op": "activation_sigm", "input": ["update"]},
    "remembered": {"op": "elementwise_prod", "input": ["reset_gate", "memory"]},
    "sum": {"op": "elementwise_sum", "input": ["new", "remembered"]},
    "candidate": {"op": "activation_tanh", "input": ["sum"]},
    "h_new_0": {"op": "blend", "input": ["update_gate", "h_prev_0", "candidate"]},
}
RECIPES = {"RNN_TANH": ZOO["rnn-tanh"], "RNN_RELU": ZOO["rnn-relu"], "LSTM": LSTM, "GRU": GRU}

States = tuple[Tensor, ...]  # h, and c for an LSTM, each `[L, B, H]`; L counts directions, too


class OnCells(nn.RNNBase):
    """A recurrent layer of PyTorch's that runs on compiled cells.

    Only the forward pass is replaced: parameters, attributes and state dictionaries are those of
    PyTorch's layer. Under autocast the outputs have the type of the inputs, and are computed in
    float32. Second derivatives are not defined.

    backend: how cells are run, see `CompiledRNN`.
    left: what is left of the weights, by the suffix of their names, such as `_l0_reverse`; empty
        for all.
    """

    backend: str = "auto"
    left: Mapping[str, Left] = MappingProxyType({})

    def forward(
        self, input: Tensor | PackedSequence, hx: Tensor | Sequence[Tensor] | None = None
    ) -> tuple[Any, Any]:
        """Take and return what PyTorch's layer does."""
        given = _states(hx, self.mode)
        if isinstance(input, PackedSequence):
            y, last = self._run_packed(input, given)
        elif input.dim() == 2:  # one sequence without a batch
            y, last = self._run(input.unsqueeze(0), tuple(part.unsqueeze(1) for part in given))
            y, last = y.squeeze(0), tuple(part.squeeze(1) for part in last)
        elif self.batch_first:
            y, last = self._run(input, given)
        else:
            y, last = self._run(input.transpose(0, 1), given)
            y = y.transpose(0, 1).contiguous()  # as PyTorch's, which models take views of
        return y, last if self.mode == "LSTM" else last[0]

    def read_what_is_left(self) -> None:
        """From now on read only the recurrent weights that are not zero now."""
        masks = {suffix: self._on_h(suffix).detach() != 0 for suffix in self._suffixes()}
        bits = {left.bits for left in self.left.values()} or {None}
        self._leave(masks, *bits)

    def compute_in(self, bits: str | None) -> None:
        """Multiply in few bits for inference; see `CompiledRNN.compute_in`."""
        self._leave({suffix: left.mask for suffix, left in self.left.items()}, bits)

    def _leave(self, masks: Mapping[str, Tensor | None], bits: str | None) -> None:
        cell, dtype = cell_of(self.mode), self._on_h("_l0").dtype
        self.left = {
            suffix: Left(cell, masks.get(suffix), dtype, bits)
            for suffix in self._suffixes()
            if bits or masks.get(suffix) is not None
        }

    def _run_packed(self, packed: PackedSequence, given: States) -> tuple[PackedSequence, States]:
        """Run the sequences in the order in which they are packed, longest first."""
        data, sizes, order, back = packed
        if order is not None:
            given = tuple(part.index_select(1, order) for part in given)
        x, lengths = pad_packed_sequence(PackedSequence(data, sizes), batch_first=True)
        y, last = self._run(x, given, lengths)
        if back is not None:
            last = tuple(part.index_select(1, back) for part in last)
        data = pack_padded_sequence(y, lengths, batch_first=True).data
        return PackedSequence(data, sizes, order, back), last

    def _run(
        self, x: Tensor, given: States, lengths: Tensor | None = None
    ) -> tuple[Tensor, States]:
        """Run all layers over x `[B, T, C]`; `given` is empty for zeros."""
        suffixes = self._suffixes()
        shape = (len(suffixes), len(x), self.hidden_size)
        self.check_input(x, None)
        if x.shape[1] == 0:
            raise ValueError(f"the input {tuple(x.shape)} has no steps")
        for part in given:
            self.check_hidden_size(part, shape)
        given = given or (x.new_zeros(shape),) * cell_of(self.mode).states
        lasts, outputs = [], []
        for i, suffix in enumerate(suffixes):
            backward = suffix.endswith("_reverse")
            if i and not backward:
                x = functional.dropout(_joined(outputs), self.dropout, self.training)
                outputs = []
            seen = _reversed(x, lengths) if backward else x
            y, last = self._run_one(suffix, seen, [part[i] for part in given], lengths)
            outputs.append(_reversed(y, lengths) if backward else y)
            lasts.append(last)
        return _joined(outputs), tuple(torch.stack(part) for part in zip(*lasts, strict=True))

    def _run_one(
        self, suffix: str, x: Tensor, state: Sequence[Tensor], lengths: Tensor | None
    ) -> tuple[Tensor, States]:
        weights = self._weights(suffix)
        if suffix in self.left:
            return self.left[suffix].run(x, state, weights, lengths, self.backend)
        return run_cell(cell_of(self.mode), x, state, weights, lengths, self.backend)

    def _suffixes(self) -> list[str]:
        ways = ("", "_reverse") if self.bidirectional else ("",)
        return [f"_l{i}{way}" for i in range(self.num_layers) for way in ways]

    def _on_h(self, suffix: str) -> Tensor:
        return getattr(self, f"weight_hh{suffix}").unflatten(0, (-1, 1, self.hidden_size))

    def _weights(self, suffix: str) -> Weights:
        """Return the weights of one layer and direction as the cell's, views where possible."""
        rows = (-1, self.hidden_size)
        on_x = getattr(self, f"weight_ih{suffix}").unflatten(0, rows)
        if self.bias:
            on_inputs, on_states = (
                getattr(self, f"bias_{read}{suffix}").view(rows) for read in ("ih", "hh")
            )
            bias = on_inputs + on_states
            if self.mode == "GRU":
                bias = torch.cat([bias[:2], on_inputs[2:], on_states[2:]])
        else:
            bias = on_x.new_zeros(len(layout_of(cell_of(self.mode)).linears), self.hidden_size)
        return Weights(bias, on_x, self._on_h(suffix), on_x.new_empty(0, self.hidden_size))


class LSTMOnCells(OnCells, nn.LSTM):
    """An `nn.LSTM` that runs on compiled cells."""


class GRUOnCells(OnCells, nn.GRU):
    """An `nn.GRU` that runs on compiled cells."""


class RNNOnCells(OnCells, nn.RNN):
    """An `nn.RNN` that runs on compiled cells."""


@cache
def cell_of(mode: str) -> CellSpec:
    """Return the cell of one of PyTorch's modes, such as "LSTM" or "RNN_TANH"."""
    return CellSpec.from_recipe(RECIPES[mode])


def _states(hx: Tensor | Sequence[Tensor] | None, mode: str) -> States:
    if hx is None:
        return ()
    if mode != "LSTM":
        return (hx,)  # type: ignore[return-value]
    h, c = hx
    return h, c


def _joined(outputs: list[Tensor]) -> Tensor:
    return torch.cat(outputs, dim=-1) if len(outputs) > 1 else outputs[0]


def _reversed(x: Tensor, lengths: Tensor | None) -> Tensor:
    """Return each sequence of `[B, T, C]` from its end; what lies behind the end stays there."""
    if lengths is None:
        return x.flip(1)
    steps = torch.arange(x.shape[1])
    ends = lengths[:, None]
    places = torch.where(steps < ends, ends - 1 - steps, steps).to(x.device)
    return x.gather(1, places[:, :, None].expand_as(x))
