"""The questions to a block: its kind of mixing, and the settings of that kind."""

from collections.abc import Callable

from kernels.cell.zoo import ZOO
from kernels.mixer.spec import (
    Decay,
    Erase,
    FeatureMap,
    Gate,
    MixerSpec,
    Readout,
    Recurrence,
    Strength,
)
from search_spaces.decisions import Decisions, InvalidArchitecture
from search_spaces.rnn_cell.recipe import read_recipe
from search_spaces.rnn_cell.space import RnnCellSpace
from search_spaces.sequence_mixer.spec import (
    AttentionMixing,
    CellMixing,
    ConvolutionMixing,
    MemoryMixing,
    Mixing,
    RecurrenceMixing,
    StateSpaceMixing,
)

MIXINGS = ("recurrence", "cell", "window", "attention", "state-space")
WINDOWS = ("convolution", "chunked-attention", "memory")
CELLS = ("rnn-tanh", "gru", "lstm", "mgu", "min-gru", "indrnn", "leaky", "slstm")
DECAYS: tuple[Decay, ...] = ("none", "head", "feature")
ERASES: tuple[Erase, ...] = ("none", "key", "own")
GATES: tuple[Gate, ...] = ("constant", "sigmoid", "softplus-exp", "low-rank")
FEATURE_MAPS: tuple[FeatureMap, ...] = ("none", "silu", "l2", "elu")
READOUTS: tuple[Readout, ...] = ("plain", "gated-norm")
HEADS = (1, 2, 4)


def decide_block(asked: Decisions, mixings: tuple[str, ...], width: int, most: int) -> Mixing:
    """Return a block's mixing, whose state has at most `most` bytes.

    mixings: the kinds to choose from. width: of the block.
    Raises `InvalidArchitecture` if every mixing of the kind needs more.
    """
    kinds = {
        "recurrence": _recurrence,
        "cell": _cell,
        "window": _window,
        "attention": _attention,
        "state-space": _state_space,
    }
    return kinds[asked.choose("mixing", mixings)](asked, width, most)


def _recurrence(asked: Decisions, width: int, most: int) -> Mixing:
    decay, erase = asked.choose("decay", DECAYS), asked.choose("erase", ERASES)
    erases = erase != "none"
    low = asked.choose("low", (0, -1)) if erases or decay != "none" else 0
    writes = asked.integer("writes", 1, 4)
    is_diagonal = asked.choose("state", ("matrix", "diagonal")) == "diagonal"
    heads = width if is_diagonal else asked.choose("heads", HEADS)
    keys = 1 if is_diagonal else 2 ** asked.integer("keys_log2", 0, 6)
    feature_map = _feature_map(asked, decay, erases, writes, keys)
    if keys == 1 and feature_map != "complement" and decay == "feature":
        decay = "head"  # one key feature: the same
    gate = _gate(asked, decay, erases, writes, low)
    strength = _strength(asked, gate, low)
    taps = asked.choose("short_convolution", (0, 4))
    readout: Readout = "plain"
    if not is_diagonal:  # the norm of a single value would keep only its sign
        readout = asked.choose("readout", READOUTS)
    is_positive = not erases and low == 0
    normaliser = is_positive and asked.choose("normaliser", (False, True))

    def mixing(values: int) -> Mixing:
        step = Recurrence(decay, writes, erase, keys, values)
        rest = (heads, low, gate, feature_map, taps, readout, normaliser, strength)
        return RecurrenceMixing(MixerSpec(step, *rest))

    if is_diagonal:
        return _within(most, mixing(1), width)
    return _sized(asked, "values_log2", (0, 8), mixing, width, most)


def _feature_map(
    asked: Decisions, decay: Decay, erases: bool, writes: int, keys: int
) -> FeatureMap:
    if erases:
        return "l2"
    if decay == "feature" and writes == 1:
        return asked.choose("feature_map_or_complement", (*FEATURE_MAPS, "complement"))
    if keys == 1:
        return asked.choose("feature_map_or_one", (*FEATURE_MAPS, "one"))
    return asked.choose("feature_map", FEATURE_MAPS)


def _gate(asked: Decisions, decay: Decay, erases: bool, writes: int, low: int) -> Gate:
    if low == -1 and not erases:
        return "sigmoid"  # the only one that reaches negative decays
    may_be_exponential = not erases and writes == 1 and decay != "feature"
    if decay == "none":
        choices: tuple[Gate, ...] = ("sigmoid", "exponential")
        return asked.choose("gate_of_writes", choices) if may_be_exponential else "sigmoid"
    if may_be_exponential:
        return asked.choose("gate_or_exponential", (*GATES, "exponential"))
    return asked.choose("gate", GATES)


def _strength(asked: Decisions, gate: Gate, low: int) -> Strength:
    if low == -1 or gate in ("exponential", "softplus-exp"):
        return "gated"
    choices: tuple[Strength, ...] = ("gated", "one")
    return asked.choose("strength", choices)


def _cell(asked: Decisions, width: int, most: int) -> Mixing:
    if asked.choose("cell", ("known", "drawn")) == "known":
        cell = read_recipe(ZOO[asked.choose("known", CELLS)])
    else:
        cell = RnnCellSpace(hidden_states=(1, 2), budgets=(7, 14)).decide(asked.scope("drawn"))
    return _within(most, CellMixing(cell.spec), width)


def _window(asked: Decisions, width: int, most: int) -> Mixing:
    window = asked.choose("window", WINDOWS)
    if window == "convolution":
        taps = asked.choose("taps", (2, 3, 5))
        return _sized(
            asked, "dilation_log2", (0, 5), lambda d: ConvolutionMixing(taps, d), width, most
        )
    if window == "memory":
        stride = asked.choose("stride", (1, 2))
        return _sized(
            asked, "memory_log2", (1, 5), lambda taps: MemoryMixing(taps, stride), width, most
        )
    heads = asked.choose("chunk_heads", HEADS)
    return _sized(
        asked, "chunk_log2", (2, 6), lambda n: AttentionMixing(n, heads, True), width, most
    )


def _attention(asked: Decisions, width: int, most: int) -> Mixing:
    heads = asked.choose("attention_heads", HEADS)
    return _sized(asked, "span_log2", (4, 10), lambda n: AttentionMixing(n, heads), width, most)


def _state_space(asked: Decisions, width: int, most: int) -> Mixing:
    return _sized(asked, "states_log2", (1, 6), StateSpaceMixing, width, most)


def _sized(
    asked: Decisions,
    name: str,
    bounds: tuple[int, int],
    made: Callable[[int], Mixing],
    width: int,
    most: int,
) -> Mixing:
    """Return the mixing of a power of two that is asked for, within the bytes of its state."""
    low, high = bounds
    _within(most, made(2**low), width)
    while made(2**high).state_bytes(width) > most:
        high -= 1
    return made(2 ** asked.integer(name, low, high))


def _within(most: int, mixing: Mixing, width: int) -> Mixing:
    needed = mixing.state_bytes(width)
    if needed > most:
        raise InvalidArchitecture(
            f"the state of a block needs {needed} bytes, more than its share of {most}: "
            "raise the space's option state"
        )
    return mixing
