"""A recurrent layer built from any cell."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional

from kernels.cell.arguments import check_arguments
from kernels.cell.left import FASTEST, Left
from kernels.cell.op import choose_backend
from kernels.cell.rows import Rows
from kernels.cell.run import run_cell
from kernels.cell.segments import run_padded
from kernels.cell.spec import CellSpec
from kernels.cell.weights import Weights, layout_of
from kernels.cell.zoneout import inference_cell, rates_of, training_cell, with_masks


@runtime_checkable
class ShowsStates(Protocol):
    """A layer whose first result, `[B, T, H]`, is what it knows after each step.

    It is called as `layer(x, state, lengths)` with x `[B, T, C]`.
    """

    shows_states: bool


@runtime_checkable
class RunsKernels(Protocol):
    """A layer that runs kernels on the backend that it names."""

    shows_states: bool
    backend: str


@runtime_checkable
class RunsCells(Protocol):
    """A module that runs cells with its own weights."""

    backend: str

    def read_what_is_left(self) -> None:
        """Read only the recurrent weights that are not zero now."""
        ...

    def compute_in(self, bits: str | None) -> None:
        """Multiply in "int8" or "bfloat16" on a CPU, for inference; None for float32 again."""
        ...


class CompiledRNN(nn.Module):
    """One layer of a recurrent network whose cell is a `CellSpec`.

    cell: the cell, with S states.
    input_size, hidden_size: C and H.
    num_heads: N; the recurrent matrices connect units of the same head only.
    backend: "reference", "cpu", "gpu", or "auto" for the fastest one available.
    weight_drop: share of the weights on previous states and inner nodes to drop at each call in
        training (DropConnect; Merity et al. 2018, section 3.1, https://arxiv.org/abs/1708.02182).
        NAS-Bench-NLP drops the same weights.
    zoneout: the probability that a unit keeps its previous state at a step in training, or one for
        each state; see `kernels.cell.zoneout`.
    frozen_recurrent: whether those weights keep their initial values. NAS-Bench-NLP's released
        trainer freezes them by accident when weight drop is on; its tables describe such networks.

    The parameters are the non-empty tensors of `Weights`, the same for every backend, drawn from
    U(-1/√H, 1/√H).
    """

    shows_states = True

    def __init__(
        self,
        cell: CellSpec,
        input_size: int,
        hidden_size: int,
        num_heads: int = 1,
        *,
        backend: str = "auto",
        weight_drop: float = 0.0,
        zoneout: float | Sequence[float] = 0.0,
        frozen_recurrent: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if hidden_size % num_heads:
            raise ValueError(
                f"hidden_size {hidden_size} must be a multiple of num_heads {num_heads}"
            )
        self.zoneout = rates_of(zoneout, cell.states)
        self.cell = inference_cell(cell, self.zoneout) if any(self.zoneout) else cell
        self._plain = cell  # without zoneout
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_heads = num_heads
        self.backend = backend
        self.weight_drop = weight_drop
        self.frozen_recurrent = frozen_recurrent
        choose_backend(backend)
        self.left: Left | None = None
        bound = 1 / math.sqrt(hidden_size)
        self._shapes = layout_of(cell).shapes(input_size, hidden_size, num_heads)
        for name, shape in self._shapes.items():
            values = torch.empty(shape).uniform_(-bound, bound, generator=generator)
            self.register_parameter(name, nn.Parameter(values) if values.numel() else None)

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
        Raises `ValueError` if a size does not match.
        """
        check_arguments(x, self.input_size, state, self.cell.states, self.hidden_size, lengths)
        if state is None:
            state = self.initial_state(x.shape[0], x)
        return run_padded(self.run, x, tuple(state), lengths)

    def run(
        self, x: Tensor, state: Sequence[Tensor], rows: Rows | None = None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Run over sequences of one length, or over rows; see `run_cell`."""
        weights = self.weights()
        if self.training and any(self.zoneout):
            if self.mask is not None:
                weights = weights._replace(on_h=weights.on_h * self.mask)
            x, weights = with_masks(self._plain, x, weights, self.zoneout)
            return run_cell(training_cell(self._plain), x, state, weights, rows, self.backend)
        if self.left:
            return self.left.run(x, state, weights, rows, self.backend)
        return run_cell(self.cell, x, state, weights, rows, self.backend)

    def keep_only(self, mask: Tensor | None) -> None:
        """Keep only these recurrent weights, which runs faster on a CPU; None keeps all again.

        mask: booleans in the shape of `on_h`, True where a weight is left. The others are set to
            zero and get no gradient. A CPU skips them; other devices multiply with the zeros.
        Raises `ValueError` for a wrong shape, and for a cell without recurrent weights.
        """
        on_h = self._parameters.get("on_h")
        if mask is not None and (on_h is None or mask.shape != on_h.shape):
            raise ValueError(f"the mask is {tuple(mask.shape)}, expected {self._shapes['on_h']}")
        self._leave(mask, self.left.bits if self.left else None)
        if mask is not None and on_h is not None:
            with torch.no_grad():
                on_h.mul_(mask)

    def read_what_is_left(self) -> None:
        """Read only the recurrent weights that are not zero now."""
        on_h = self._parameters.get("on_h")
        self.keep_only(None if on_h is None else on_h.detach() != 0)

    def compute_in(self, bits: str | None) -> None:
        """Multiply in few bits on a CPU, for inference; the parameters stay as they are.

        bits: "int8", with scales per unit for weights and per step for what they multiply,
            "bfloat16", or None for the parameters' own dtype again.
        """
        self._leave(self.mask, bits)

    def _leave(self, mask: Tensor | None, bits: str | None) -> None:
        dtype = next(self.parameters()).dtype
        plain = mask is None and bits is None
        self.left = None if plain else Left(self.cell, mask, dtype, bits)

    @property
    def mask(self) -> Tensor | None:
        """The recurrent weights that are left, None for all."""
        return self.left.mask if self.left else None

    @property
    def is_replaceable(self) -> bool:
        """Return whether a faster computation of a whole network can bypass this layer: it has no
        hooks, no mask, no few bits and no fixed backend."""
        watched = self._forward_hooks or self._forward_pre_hooks
        return not watched and self.left is None and choose_backend(self.backend) in FASTEST

    def initial_state(self, batch: int, like: Tensor) -> tuple[Tensor, ...]:
        """Return S zero states `[B, H]` with the dtype and device of `like`."""
        return tuple(like.new_zeros(batch, self.hidden_size) for _ in range(self.cell.states))

    def weights(self) -> Weights:
        """Return all weights, including empty ones; training drops some recurrent ones."""
        some = next(self.parameters())
        tensors = {
            name: some.new_empty(shape) if self._parameters[name] is None else getattr(self, name)
            for name, shape in self._shapes.items()
        }
        if self.frozen_recurrent:
            tensors["on_h"] = tensors["on_h"].detach()
        if self.training and self.weight_drop:
            tensors["on_h"] = functional.dropout(tensors["on_h"], self.weight_drop)
        return Weights(**tensors)

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}, states={self.cell.states}"


def set_backend(model: nn.Module, backend: str) -> None:
    """Set the backend of all layers of a model."""
    for layer in layers_on_kernels(model):
        layer.backend = choose_backend(backend)


def layers_on_kernels(model: nn.Module) -> list[RunsCells | RunsKernels]:
    """Return the layers of a model that run on cells or on other kernels."""
    return [layer for layer in model.modules() if isinstance(layer, RunsCells | RunsKernels)]


def layers_on_cells(model: nn.Module) -> list[RunsCells]:
    """Return the layers of a model that run on cells."""
    return [layer for layer in model.modules() if isinstance(layer, RunsCells)]


def read_what_is_left(model: nn.Module) -> None:
    """Make layers read only the recurrent weights that are not zero now."""
    for layer in layers_on_cells(model):
        layer.read_what_is_left()


def compute_in(model: nn.Module, bits: str | None) -> None:
    """Make layers multiply in "int8" or "bfloat16" for inference; None for float32 again."""
    for layer in layers_on_cells(model):
        layer.compute_in(bits)


@contextmanager
def on_reference(model: nn.Module) -> Iterator[None]:
    """Run all layers on the reference in this context, so that tracers and counters see inside."""
    layers = layers_on_kernels(model)
    before = [layer.backend for layer in layers]
    set_backend(model, "reference")
    try:
        yield
    finally:
        for layer, backend in zip(layers, before, strict=True):
            layer.backend = backend
