"""The description of a network of sequence mixers: its blocks, its width and its depth."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from typing import Any, Literal

from kernels.mixer.spec import MixerSpec, Recurrence
from search_spaces.architecture import Architecture, Spec
from search_spaces.decisions import InvalidArchitecture

SPACE = "sequence-mixer"
FLOAT_BYTES, COUNTER_BYTES = 4, 8

ChannelMixer = Literal["swiglu", "none"]
Order = Literal["rows", "columns", "pixels", "windows"]
CHANNEL_MIXERS: tuple[ChannelMixer, ...] = ("swiglu", "none")
ORDERS: tuple[Order, ...] = ("rows", "columns", "pixels", "windows")


@dataclass(frozen=True, slots=True)
class RecurrenceMixing:
    """A linear recurrence with a matrix state, see `MixerSpec`."""

    mixer: MixerSpec

    def state_bytes(self, width: int) -> int:
        """Return the bytes that a step carries for one sequence in float32, as of all mixings."""
        return FLOAT_BYTES * self.mixer.state_numbers


@dataclass(frozen=True, slots=True)
class CellMixing:
    """A recurrent cell; nodes: the spec of its architecture in the space `rnn-cell`."""

    nodes: Any

    @property
    def states(self) -> int:
        """The number of the cell's states."""
        return sum(str(name).startswith("h_new_") for name, *_ in self.nodes)

    def state_bytes(self, width: int) -> int:
        return FLOAT_BYTES * self.states * width


@dataclass(frozen=True, slots=True)
class ConvolutionMixing:
    """A causal convolution over `taps` steps, `dilation` steps apart.

    Bai et al. 2018, https://arxiv.org/abs/1803.01271, section 3.2.
    """

    taps: int
    dilation: int

    def state_bytes(self, width: int) -> int:
        return FLOAT_BYTES * (self.taps - 1) * self.dilation * width


@dataclass(frozen=True, slots=True)
class MemoryMixing:
    """A trained filter of each feature over `taps` earlier steps, `stride` steps apart.

    Zhang et al. 2015, https://arxiv.org/abs/1512.08301, eq. 5 and 6 (FSMN, vectorised).
    """

    taps: int
    stride: int

    def state_bytes(self, width: int) -> int:
        return FLOAT_BYTES * self.taps * self.stride * width


@dataclass(frozen=True, slots=True)
class AttentionMixing:
    """Attention to the last `span` steps, the current one included.

    in_chunks: whether to attend only to steps of the same chunk of `span` steps.
    """

    span: int
    heads: int
    in_chunks: bool = False

    def state_bytes(self, width: int) -> int:
        return COUNTER_BYTES + FLOAT_BYTES * (self.span - 1) * 2 * width


@dataclass(frozen=True, slots=True)
class StateSpaceMixing:
    """A linear system of `states` states for each feature, the same at all steps (S4D).

    The states are pairs of conjugate complex numbers, so their number is even.
    """

    states: int

    def state_bytes(self, width: int) -> int:
        return FLOAT_BYTES * self.states * width


Mixing = (
    RecurrenceMixing
    | CellMixing
    | ConvolutionMixing
    | MemoryMixing
    | AttentionMixing
    | StateSpaceMixing
)
KINDS: dict[str, type[Mixing]] = {
    "recurrence": RecurrenceMixing,
    "cell": CellMixing,
    "convolution": ConvolutionMixing,
    "memory": MemoryMixing,
    "attention": AttentionMixing,
    "state-space": StateSpaceMixing,
}


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """A stripe of blocks that is repeated.

    width: C of every block; None for the hidden size of the model.
    repeats: how often the stripe is repeated; None for the number of layers of the model.
    channel_mixer: what follows each mixing: "swiglu" (Shazeer 2020,
        https://arxiv.org/abs/2002.05202, eq. 6) or "none".
    order: how images become sequences; both_ways: whether they are read in both directions.
    """

    stripe: tuple[Mixing, ...]
    width: int | None = None
    repeats: int | None = None
    channel_mixer: ChannelMixer = "swiglu"
    order: Order = "rows"
    both_ways: bool = False

    def blocks(self, layers: int) -> tuple[Mixing, ...]:
        """Return the mixings, first to last, for a model of so many layers."""
        return self.stripe * (self.repeats or layers)

    def state_bytes(self, width: int, layers: int) -> int:
        """Return the bytes that a step carries for one sequence, in float32."""
        return sum(mixing.state_bytes(self.width or width) for mixing in self.blocks(layers))

    def architecture(self) -> Architecture:
        """Return the architecture, the same for equal networks: the stripe has no period."""
        stripe, repeats = self.stripe, self.repeats
        if repeats is not None:
            size = len(stripe)
            period = next(n for n in range(1, size + 1) if stripe == stripe[:n] * (size // n))
            stripe, repeats = stripe[:period], repeats * (size // period)
        blocks = tuple(_as_tuple(mixing) for mixing in stripe)
        rest = (self.width, repeats, self.channel_mixer, self.order, self.both_ways)
        return Architecture(SPACE, (*rest, blocks))


def network_of(architecture: Architecture) -> NetworkSpec:
    """Return the network of an architecture; raises `InvalidArchitecture` naming what is wrong."""
    match architecture.spec:
        case (width, repeats, channel_mixer, order, both_ways, (_, *_) as blocks):
            pass
        case _:
            raise InvalidArchitecture(
                "write a network as [width, repeats, channel mixer, order, both ways, [blocks]]"
            )
    for name, value in (("width", width), ("repeats", repeats)):
        if value is not None and (type(value) is not int or value < 1):
            raise InvalidArchitecture(f"{name} must be a whole number of at least 1, not {value}")
    for name, value, known in (
        ("channel mixer", channel_mixer, CHANNEL_MIXERS),
        ("order", order, ORDERS),
        ("both ways", both_ways, (False, True)),
    ):
        if value not in known:
            raise InvalidArchitecture(f'unknown {name} "{value}"; choose {_listed(known)}')
    stripe = tuple(_mixing_of(i, block) for i, block in enumerate(blocks))
    return NetworkSpec(stripe, width, repeats, channel_mixer, order, bool(both_ways))  # type: ignore[arg-type]


def _as_tuple(mixing: Mixing) -> Spec:
    kind = next(name for name, made in KINDS.items() if type(mixing) is made)
    if isinstance(mixing, RecurrenceMixing):
        mixer = mixing.mixer
        rest = (getattr(mixer, field.name) for field in fields(mixer)[1:])
        return (kind, *astuple(mixer.recurrence), *rest)
    if isinstance(mixing, CellMixing):
        return (kind, mixing.nodes)
    return (kind, *astuple(mixing))


def _mixing_of(number: int, block: Any) -> Mixing:
    try:
        kind, *values = block
        if kind not in KINDS:
            raise ValueError(f'unknown kind "{kind}"; choose {_listed(tuple(KINDS))}')
        if kind == "recurrence":
            count = len(fields(Recurrence))
            return RecurrenceMixing(MixerSpec(Recurrence(*values[:count]), *values[count:]))
        mixing = KINDS[kind](*values)
        if kind == "cell":
            _check_cell(mixing)
        else:
            _check_numbers(mixing)
    except (TypeError, ValueError) as error:
        raise InvalidArchitecture(f"block {number}: {error}") from None
    return mixing


def _check_cell(mixing: Any) -> None:
    from kernels.cell.spec import CellSpec  # only files need the check
    from search_spaces.rnn_cell.recipe import SPACE as CELLS
    from search_spaces.rnn_cell.recipe import recipe_of

    CellSpec.from_recipe(recipe_of(Architecture(CELLS, mixing.nodes)))


def _check_numbers(mixing: Any) -> None:
    for field in fields(mixing):
        value = getattr(mixing, field.name)
        if field.type is not bool and (type(value) is not int or value < 1):
            raise ValueError(f"{field.name} must be a whole number of at least 1, not {value}")
    if isinstance(mixing, StateSpaceMixing) and mixing.states % 2:
        raise ValueError(f"states must be even, not {mixing.states}")


def _listed(known: Sequence[Any]) -> str:
    return ", ".join(str(each) for each in known)
