"""Recurrent layers to use in place of PyTorch's, which run on compiled cells."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from kernels.cell.layer import CompiledRNN
from kernels.cell.left import Left
from kernels.cell.rows import Rows
from kernels.cell.run import run_cell
from kernels.cell.spec import CellSpec
from kernels.cell.stack import Stack, States
from kernels.cell.weights import Weights, layout_of
from kernels.cell.zoo import ZOO

GATES = ("input", "forget", "new", "output")
TORCH_LSTM = {name: ZOO["lstm"][name] for name in GATES} | ZOO["lstm"]  # PyTorch's order of gates
TORCH_GRU = {  # the reset gate behind the matrix; Cho et al. 2014 and our zoo have it before
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
CELLS = {  # by PyTorch's name of the mode
    mode: CellSpec.from_recipe(recipe)
    for mode, recipe in {
        "RNN_TANH": ZOO["rnn-tanh"],
        "RNN_RELU": ZOO["rnn-relu"],
        "LSTM": TORCH_LSTM,
        "GRU": TORCH_GRU,
    }.items()
}


class TorchStack(Stack, nn.RNNBase):
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

    @property
    def state_sizes(self) -> tuple[int, ...]:
        first = self.proj_size or self.hidden_size
        return (first, self.hidden_size) if self.mode == "LSTM" else (first,)

    def forward(self, input: Any, hx: Any = None, **options: Any) -> tuple[Any, Any]:
        if torch.compiler.is_exporting() and not options:
            return super(Stack, self).forward(
                input, hx
            )  # PyTorch's operator, which every runtime knows
        return super().forward(input, hx, **options)

    def read_what_is_left(self) -> None:
        """From now on read only the recurrent weights that are not zero now."""
        masks = {s: self._weights(s).on_h.detach() != 0 for s in self._suffixes()}
        bits = {left.bits for left in self.left.values()} or {None}
        self._leave(masks, *bits)

    def compute_in(self, bits: str | None) -> None:
        """Multiply in few bits for inference; see `CompiledRNN.compute_in`."""
        self._leave({suffix: left.mask for suffix, left in self.left.items()}, bits)

    def _leave(self, masks: Mapping[str, Tensor | None], bits: str | None) -> None:
        cell, dtype = CELLS[self.mode], self._weights("_l0").on_h.dtype
        self.left = {
            suffix: Left(cell, masks.get(suffix), dtype, bits)
            for suffix in self._suffixes()
            if bits or masks.get(suffix) is not None
        }

    def run_layer(
        self, number: int, x: Tensor, state: States, rows: Rows | None
    ) -> tuple[Tensor, States]:
        suffix = self._suffixes()[number]
        if self.proj_size:
            return self._run_projected(suffix, x, state, rows)
        return self._run_cell(suffix, x, state, self._weights(suffix), rows)

    def _run_cell(
        self, suffix: str, x: Tensor, state: States, weights: Weights, rows: Rows | None
    ) -> tuple[Tensor, States]:
        if suffix in self.left:
            return self.left[suffix].run(x, state, weights, rows, self.backend)
        return run_cell(CELLS[self.mode], x, state, weights, rows, self.backend)

    def _run_projected(
        self, suffix: str, x: Tensor, state: States, rows: Rows | None
    ) -> tuple[Tensor, States]:
        """Run an LSTM with projections: its recurrent matrix reads what is before the projection.

        The first state is after the projection; at the first step, it is read as part of x.
        """
        weights, projection = self._weights(suffix), getattr(self, f"weight_hr{suffix}")
        h, c = state
        given = x.new_zeros(*x.shape[:-1], self.proj_size)
        at_first = given[:, 0] if rows is None else given[: len(h)]
        at_first[: len(h)] = h[: len(at_first)]
        on_h = getattr(self, f"weight_hh{suffix}").unflatten(0, (-1, self.hidden_size))
        weights = weights._replace(on_x=torch.cat([weights.on_x, on_h], dim=-1))
        start = (torch.zeros_like(c), c)
        y, (last, c) = self._run_cell(suffix, torch.cat([x, given], dim=-1), start, weights, rows)
        last = functional.linear(last, projection)
        if rows is not None:  # a sequence without steps keeps its state
            last = torch.where((rows.lengths == 0).to(h.device)[:, None], h, last)
        return functional.linear(y, projection), (last, c)

    def _suffixes(self) -> list[str]:
        ways = ("", "_reverse") if self.bidirectional else ("",)
        return [f"_l{i}{way}" for i in range(self.num_layers) for way in ways]

    def _weights(self, suffix: str) -> Weights:
        """Return the weights of one layer and direction as the cell's, views where possible."""
        rows = (-1, self.hidden_size)
        on_x = getattr(self, f"weight_ih{suffix}").unflatten(0, rows)
        on_h = getattr(self, f"weight_hh{suffix}")
        if self.proj_size:
            on_h = on_h @ getattr(self, f"weight_hr{suffix}")
        if self.bias:
            on_inputs, on_states = (
                getattr(self, f"bias_{read}{suffix}").view(rows) for read in ("ih", "hh")
            )
            bias = on_inputs + on_states
            if self.mode == "GRU":
                bias = torch.cat([bias[:2], on_inputs[2:], on_states[2:]])
        else:
            bias = on_x.new_zeros(len(layout_of(CELLS[self.mode]).linears), self.hidden_size)
        square = on_h.unflatten(0, (-1, 1, self.hidden_size))
        return Weights(bias, on_x, square, on_x.new_empty(0, self.hidden_size))


class LSTM(TorchStack, nn.LSTM):
    """`torch.nn.LSTM` on compiled cells, with the same arguments and parameters."""


class GRU(TorchStack, nn.GRU):
    """`torch.nn.GRU` on compiled cells, with the same arguments and parameters."""


class RNN(TorchStack, nn.RNN):
    """`torch.nn.RNN` on compiled cells, with the same arguments and parameters."""


class Recurrent(Stack):
    """Layers of any cell, called as `torch.nn.LSTM` is.

    cell: a cell, or the name of one in `kernels.cell.zoo`.
    num_heads, options: as for `CompiledRNN`, which every layer and direction is.
    The other arguments are those of `torch.nn.LSTM`. If the cell has one state, the states are a
    tensor, otherwise a tuple of S tensors.
    """

    def __init__(
        self,
        cell: CellSpec | str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        num_heads: int = 1,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        self.cell = named_cell(cell) if isinstance(cell, str) else cell
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.batch_first, self.dropout, self.bidirectional = batch_first, dropout, bidirectional
        ways = 2 if bidirectional else 1
        read = [input_size] * ways + [hidden_size * ways] * (ways * (num_layers - 1))
        self.layers = nn.ModuleList(
            CompiledRNN(self.cell, inputs, hidden_size, num_heads, **options) for inputs in read
        ).to(device, dtype)

    @property
    def state_sizes(self) -> tuple[int, ...]:
        return (self.hidden_size,) * self.cell.states

    def run_layer(
        self, number: int, x: Tensor, state: Sequence[Tensor], rows: Rows | None
    ) -> tuple[Tensor, States]:
        return self.layers[number].run(x, state, rows)  # type: ignore[operator]

    def extra_repr(self) -> str:
        return f"num_layers={self.num_layers}, batch_first={self.batch_first}"


def named_cell(name: str) -> CellSpec:
    """Return a cell of the zoo. Raises `ValueError` for an unknown name."""
    if name not in ZOO:
        raise ValueError(f'no cell "{name}"; available: {", ".join(ZOO)}')
    return CellSpec.from_recipe(ZOO[name])
