"""Replaces PyTorch's recurrent layers by compiled cells with the same weights and arguments."""

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from kernels.cell.layer import CompiledRNN
from kernels.cell.spec import CellSpec
from search_spaces.rnn_cell.zoo import ZOO

GRU = {  # PyTorch resets after the matrix; Cho et al. 2014 and our zoo reset before it
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
# The cell, and PyTorch's gates in our order.
CELLS = {
    "RNN_TANH": (ZOO["rnn-tanh"], [0]),
    "RNN_RELU": (ZOO["rnn-relu"], [0]),
    "LSTM": (ZOO["lstm"], [0, 1, 3, 2]),
    "GRU": (GRU, [0, 1, 2]),
}


class CompiledLayers(nn.Module):
    """Computes an `nn.RNN`, `nn.GRU` or `nn.LSTM` with compiled cells and copied weights.

    It has the layer's settings, such as `hidden_size`, but not its names of weights.
    Raises `ValueError` for an LSTM with projections.
    """

    mode: str
    dropout: float
    batch_first: bool

    def __init__(self, layers: nn.RNNBase) -> None:
        super().__init__()
        if layers.proj_size:
            raise ValueError("an LSTM with proj_size cannot be compiled")
        for name in layers.__constants__:
            setattr(self, name, getattr(layers, name))
        self.directions = 2 if layers.bidirectional else 1
        suffixes = [
            f"_l{i}{way}"
            for i in range(layers.num_layers)
            for way in ("", "_reverse")[: self.directions]
        ]
        self.cells = nn.ModuleList(_cell(layers, suffix) for suffix in suffixes)
        self.train(layers.training)

    def flatten_parameters(self) -> None:
        """Do nothing; models call this method for cuDNN."""

    def forward(
        self,
        x: Tensor | PackedSequence,
        state: Tensor | tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor | PackedSequence, Tensor | tuple[Tensor, ...]]:
        """Run like the replaced layers, with the same arguments and results; x is a batch."""
        if isinstance(x, PackedSequence):
            padded, lengths = pad_packed_sequence(x, batch_first=True)
            y, last = self._run(padded, state, lengths)
            packed = pack_padded_sequence(y, lengths, batch_first=True, enforce_sorted=False)
            return packed, last
        y, last = self._run(x if self.batch_first else x.transpose(0, 1), state, None)
        return y if self.batch_first else y.transpose(0, 1), last

    def _run(
        self, x: Tensor, state: Tensor | tuple[Tensor, Tensor] | None, lengths: Tensor | None
    ) -> tuple[Tensor, Tensor | tuple[Tensor, ...]]:
        given = [None] * len(self.cells)
        if state is not None:
            given = list(zip(*(state if isinstance(state, tuple) else (state,)), strict=True))
        lasts = []
        for first in range(0, len(self.cells), self.directions):
            if first:
                x = functional.dropout(x, self.dropout, self.training)
            outputs = []
            for way in range(self.directions):
                seen = _reversed(x, lengths) if way else x
                y, last = self.cells[first + way](seen, given[first + way], lengths)
                outputs.append(_reversed(y, lengths) if way else y)
                lasts.append(last)
            x = torch.cat(outputs, dim=-1) if len(outputs) > 1 else outputs[0]
        stacked = tuple(torch.stack(part) for part in zip(*lasts, strict=True))
        return x, stacked if self.mode == "LSTM" else stacked[0]


def _reversed(x: Tensor, lengths: Tensor | None) -> Tensor:
    """Reverse each sequence of `[B, T, C]`, leaving its padding in place."""
    if lengths is None:
        return x.flip(1)
    steps = torch.arange(x.shape[1])
    ends = lengths[:, None]
    places = torch.where(steps < ends, ends - 1 - steps, steps).to(x.device)
    return x.gather(1, places[:, :, None].expand_as(x))


def compiled(model: nn.Module) -> nn.Module:
    """Return the model with all supported PyTorch recurrent layers replaced by compiled cells."""
    if isinstance(model, nn.RNNBase):
        return model if model.proj_size else CompiledLayers(model)
    for name, child in model.named_children():
        setattr(model, name, compiled(child))
    return model


def _cell(layers: nn.RNNBase, suffix: str) -> CompiledRNN:
    recipe, gates = CELLS[layers.mode]
    own = {
        name.removesuffix(suffix): p.detach().unflatten(0, (len(gates), -1))[gates]
        for name, p in layers.named_parameters()
        if name.endswith(suffix)
    }
    on_x, on_h = own["weight_ih"], own["weight_hh"].unsqueeze(1)
    cell = CompiledRNN(CellSpec.from_recipe(recipe), on_x.shape[2], layers.hidden_size)
    bias = on_x.new_zeros(cell.get_parameter("bias").shape)
    if layers.bias:
        bias[: len(gates)] += own["bias_ih"]
        bias[[0, 1, 3] if layers.mode == "GRU" else slice(None)] += own["bias_hh"]
    cell.load_state_dict({"bias": bias, "on_x": on_x, "on_h": on_h}, assign=True)
    return cell
