"""A recurrent layer made of any cell."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from kernels.cell.op import choose_backend, run_cell
from kernels.cell.spec import CellSpec


class CompiledRNN(nn.Module):
    """One layer of a recurrent network whose cell is a `CellSpec`.

    cell: the cell, with S states.
    input_size, hidden_size: C and H.
    backend: an implementation of `kernels.cell.op`, "auto" for the fastest at hand.
    weight_drop: share of the weights on previous states and inner nodes that is dropped at
        each call in training (DropConnect; Merity et al. 2018, section 3.1,
        https://arxiv.org/abs/1708.02182). NAS-Bench-NLP drops the same weights.

    The parameters are, for linear node k of the cell, `bias_k` `[H]` and `weight_k_j`
    `[H, C or H]` for its input j, drawn from U(-1/√H, 1/√H).
    """

    def __init__(
        self,
        cell: CellSpec,
        input_size: int,
        hidden_size: int,
        *,
        backend: str = "auto",
        weight_drop: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.cell = cell
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.backend = choose_backend(backend)
        self.weight_drop = weight_drop
        bound = 1 / math.sqrt(hidden_size)
        for k, columns in enumerate(cell.linear_weights(input_size, hidden_size)):
            shapes = {f"bias_{k}": (hidden_size,)}
            shapes |= {f"weight_{k}_{j}": (hidden_size, c) for j, c in enumerate(columns)}
            for name, shape in shapes.items():
                values = torch.empty(shape).uniform_(-bound, bound, generator=generator)
                self.register_parameter(name, nn.Parameter(values))

    def forward(
        self,
        x: Tensor,
        state: Sequence[Tensor] | None = None,
        lengths: Tensor | None = None,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Run over a batch of sequences.

        x: `[B, T, C]`
        state: S tensors `[B, H]`, zeros when absent
        lengths: `[B]`, each from 0 to T; the state is frozen after the end
        Returns the outputs `[B, T, H]` and the S last states `[B, H]`.
        Raises `ValueError` when a size does not match.
        """
        if x.ndim != 3 or x.shape[2] != self.input_size:
            raise ValueError(f"x is {tuple(x.shape)}, expected [B, T, {self.input_size}]")
        if state is None:
            state = self.initial_state(x.shape[0], x)
        expected = (x.shape[0], self.hidden_size)
        if len(state) != self.cell.states or any(tuple(s.shape) != expected for s in state):
            shapes = [tuple(s.shape) for s in state]
            raise ValueError(f"state is {shapes}, expected {self.cell.states} of {expected}")
        return run_cell(self.cell, x, state, self._weights(), lengths, self.backend)

    def initial_state(self, batch: int, like: Tensor) -> tuple[Tensor, ...]:
        """S zero states `[B, H]` of the dtype and device of `like`."""
        return tuple(like.new_zeros(batch, self.hidden_size) for _ in range(self.cell.states))

    def _weights(self) -> list[list[Tensor]]:
        """For each linear node its bias and matrices, the recurrent ones with weights dropped."""
        linears = [node for node in self.cell.nodes if node.op == "linear"]
        weights = []
        for k, node in enumerate(linears):
            matrices = [getattr(self, f"weight_{k}_{j}") for j in range(len(node.inputs))]
            if self.training and self.weight_drop:
                matrices = [
                    matrix if source == 0 else functional.dropout(matrix, self.weight_drop)
                    for matrix, source in zip(matrices, node.inputs, strict=True)
                ]
            weights.append([getattr(self, f"bias_{k}"), *matrices])
        return weights

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}, states={self.cell.states}"
