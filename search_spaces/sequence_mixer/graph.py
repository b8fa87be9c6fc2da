"""Converts a network of mixers to a directed graph with short labels, for drawings."""

from networkx import DiGraph

from search_spaces.sequence_mixer.spec import (
    AttentionMixing,
    CellMixing,
    ConvolutionMixing,
    MemoryMixing,
    Mixing,
    NetworkSpec,
    RecurrenceMixing,
    StateSpaceMixing,
)


def graph(network: NetworkSpec) -> DiGraph:
    """Return a chain of nodes with `label`, `kind` and `state`, as for a recurrent cell."""
    drawn = DiGraph()
    width = f", {network.width}" if network.width else ""
    drawn.add_node(0, label=f"x{width}", kind="input", state=None)
    for mixing in network.blocks(1):
        _append(drawn, label_of(mixing), "elementwise")
        if network.channel_mixer != "none":
            _append(drawn, network.channel_mixer, "linear")
    return drawn


def _append(drawn: DiGraph, label: str, kind: str) -> None:
    last = len(drawn) - 1
    drawn.add_node(last + 1, label=label, kind=kind, state=None)
    drawn.add_edge(last, last + 1, place=0)


def label_of(mixing: Mixing) -> str:
    """Return a mixing in a few words."""
    match mixing:
        case RecurrenceMixing(mixer):
            own = mixer.recurrence
            parts = [f"{mixer.heads}×{own.keys}×{own.values}"]
            parts += [f"decay {own.decay}"] if own.decay != "none" else []
            parts += [f"erase {own.erase}"] if own.erase != "none" else []
            parts += [f"{own.writes} writes"] if own.writes > 1 else []
            return ", ".join([*parts, f"[{mixer.low}, 1]"])
        case CellMixing():
            return f"cell, {mixing.states} states"
        case ConvolutionMixing(taps, dilation):
            return f"convolution {taps}, every {dilation}"
        case MemoryMixing(taps, stride):
            return f"memory {taps}, every {stride}"
        case AttentionMixing(span, heads, in_chunks):
            return f"{'chunked ' if in_chunks else ''}attention {span}, {heads} heads"
        case StateSpaceMixing(states):
            return f"S4D, {states} states"
