"""A block of a network: a mixing of steps, then a mixing of channels, each with a residual."""

from torch import Tensor, nn
from torch.nn import functional

from kernels.cell.layer import CompiledRNN
from kernels.cell.spec import CellSpec
from kernels.mixer.layer import MixerLayer, MixerState
from kernels.mixer.spec import MixerSpec
from search_spaces.architecture import Architecture
from search_spaces.rnn_cell.recipe import SPACE as CELLS
from search_spaces.rnn_cell.recipe import cell_of
from search_spaces.sequence_mixer.spec import (
    AttentionMixing,
    CellMixing,
    ChannelMixer,
    ConvolutionMixing,
    MemoryMixing,
    Mixing,
    RecurrenceMixing,
    StateSpaceMixing,
)
from search_spaces.sequence_mixer.state_space import StateSpace, reversed_steps
from search_spaces.sequence_mixer.windows import Attention, Convolution, Memory, State

HIDDEN_OF_SWIGLU = 2  # times the width


class Block(nn.Module):
    """x + mixing(norm(x)), then x + channels(norm(x)).

    Called as `block(x, state, lengths)` with x `[B, T, C]`; returns the same shape and the state,
    a tuple of tensors whose first axis is the batch.
    """

    shows_states = True

    def __init__(self, mixing: nn.Module, width: int, channel_mixer: ChannelMixer) -> None:
        super().__init__()
        self.norm, self.mixing = nn.RMSNorm(width), mixing
        self.channels = SwiGLU(width) if channel_mixer == "swiglu" else None

    def forward(
        self, x: Tensor, state: State | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, State]:
        y, after = self.mixing(self.norm(x), state, lengths)
        x = x + y
        return (x if self.channels is None else x + self.channels(x)), after


class SwiGLU(nn.Module):
    """Shazeer 2020, https://arxiv.org/abs/2002.05202, eq. 6, after a norm."""

    def __init__(self, width: int) -> None:
        super().__init__()
        hidden = HIDDEN_OF_SWIGLU * width
        self.norm = nn.RMSNorm(width)
        self.input, self.output = nn.Linear(width, 2 * hidden), nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.input(self.norm(x)).chunk(2, -1)
        return self.output(functional.silu(gate) * value)


class Recurrence(nn.Module):
    """A `MixerLayer` whose state is a plain tuple of the tensors that it has."""

    def __init__(self, spec: MixerSpec, width: int) -> None:
        super().__init__()
        self.layer = MixerLayer(spec, width)
        parts = {
            "matrix": True,
            "tail": spec.short_convolution > 0,
            "maximum": spec.gate == "exponential",
        }
        self.parts = [name for name, is_there in parts.items() if is_there]

    def forward(
        self, x: Tensor, state: State | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, State]:
        given = None
        if state is not None:
            given = MixerState(**dict(zip(self.parts, state, strict=True)))
        y, after = self.layer(x, given, lengths)
        return y, tuple(getattr(after, name) for name in self.parts)


class BothWays(nn.Module):
    """The sum of a mixing and of another one that reads the sequences from their ends."""

    def __init__(self, onward: nn.Module, back: nn.Module) -> None:
        super().__init__()
        self.onward, self.back = onward, back

    def forward(
        self, x: Tensor, state: State | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, State]:
        ahead, behind = (
            self.onward(x, None, lengths)[0],
            self.back(reversed_steps(x, lengths), None, lengths)[0],
        )
        return ahead + reversed_steps(behind, lengths), ()


def module_of(mixing: Mixing, width: int, both_ways: bool) -> nn.Module:
    """Return the untrained module of a mixing."""
    if isinstance(mixing, AttentionMixing):
        return Attention(mixing, width, both_sides=both_ways)
    if both_ways:
        return BothWays(_one_way(mixing, width), _one_way(mixing, width))
    return _one_way(mixing, width)


def _one_way(mixing: Mixing, width: int) -> nn.Module:
    match mixing:
        case RecurrenceMixing(spec):
            return Recurrence(spec, width)
        case CellMixing(nodes):
            cell: CellSpec = cell_of(Architecture(CELLS, nodes))
            return CompiledRNN(cell, width, width)
        case ConvolutionMixing():
            return Convolution(mixing, width)
        case MemoryMixing():
            return Memory(mixing, width)
        case StateSpaceMixing(states):
            return StateSpace(states, width)
        case AttentionMixing():
            return Attention(mixing, width)
