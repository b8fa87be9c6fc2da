"""Rules of recurrent layers: a unit is a row of every gate and a column of every reader."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from torch import Tensor, nn

from compress.structure.call import Call
from compress.structure.labels import Axes
from compress.structure.place_channels import PlaceChannels
from kernels.cell.layer import CompiledRNN

GATES = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}


def recurrent(call: Call) -> Any:
    """Label the outputs of a recurrent module, with any layers and directions.

    The call is `lstm(input, states, weights, biases?, layers, dropout, training?,
    bidirectional?, …)`, or `lstm(data, sizes, states, weights, …)` for packed sequences.
    """
    is_packed = isinstance(call.args[3], (list, tuple))
    source, states, weights = call.args[0], *call.args[2 if is_packed else 1 :][:2]
    has_biases, layers, _, _, is_bidirectional = call.args[4 if is_packed else 3 :][:5]
    directions = 2 if is_bidirectional else 1
    count = len(weights) // (int(layers) * directions)
    axes = call.axes(source)
    reads, seen, cells = axes[-1], [], []
    for layer in range(int(layers)):
        outputs = []
        for direction in range(directions):
            place = (layer * directions + direction) * count
            units, made = _direction(call, weights[place : place + count], reads, has_biases)
            cells.append(units)
            outputs.append(made)
        seen += outputs
        reads = np.concatenate(outputs)
    for each in (cells, seen):
        call.labels.tie(each)
    _started(call, states, seen, cells)
    kinds = (seen, cells) if call.name == "lstm" else (seen,)
    last = [_states(call, r, each) for r, each in zip(call.results[1:], kinds, strict=True)]
    return [(*axes[:-1], reads), *last]


def _direction(
    call: Call, weights: Sequence[Tensor], reads: np.ndarray | None, has_biases: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return the labels of one layer's units in one direction, and of its outputs."""
    inner, own = weights[0], weights[1]
    gates = GATES[call.name.removesuffix("_cell")]
    units = call.labels.new(inner.shape[0] // gates)
    made = units
    if len(weights) > (4 if has_biases else 2):  # proj_size: [P, H]
        projected = call.axes(weights[-1])
        made = call.labels.new(weights[-1].shape[0])
        call.unite(projected[0], made)
        call.unite(projected[1], units)
        call.reads(projected[1])
    rows = np.tile(units, gates)
    for weight in weights[: 4 if has_biases else 2]:
        call.unite(call.axes(weight)[0], rows)
    call.unite(call.axes(inner)[1], reads)
    call.unite(call.axes(own)[1], made)
    call.reads(call.axes(inner)[1])
    call.reads(call.axes(own)[1])
    call.makes(inner, made)
    call.makes(inner, units)
    return units, made


def _started(call: Call, states: Any, seen: list, cells: list) -> None:
    """Unite the units with their initial states; constant states only share the number."""
    given = states if isinstance(states, (tuple, list)) else (states,)
    for state, each in zip(given, (seen, cells), strict=False):
        if not isinstance(state, Tensor):
            continue
        stack = call.table.stack(state)
        if stack is not None and stack.shape[:-1] == (len(each),):
            for labels, mine in zip(stack, each, strict=True):
                call.unite(labels, mine)
            continue
        labels = call.axes(state)[-1]
        if state in call.table.uniform and labels is not None:
            call.labels.tie([labels, *each])
            continue
        for mine in each:
            call.unite(mine, labels)


def _states(call: Call, result: Tensor, each: list[np.ndarray]) -> Axes:
    """Label the last states `[layers × directions, B, H]`."""
    if len(each) == 1:
        return (*(None,) * (result.dim() - 1), each[0])
    call.table.stacks[result] = np.stack(each)
    return (None,) * result.dim()


def cell(call: Call) -> Any:
    """Label one step of one layer: `lstm_cell(input, (h, c), w_ih, w_hh, b_ih, b_hh)`."""
    source, states, *weights = call.args
    weights = [w for w in (*weights, *call.kwargs.values()) if isinstance(w, Tensor)]
    axes = call.axes(source)
    given = states if isinstance(states, (tuple, list)) else (states,)
    rows = call.axes(weights[0])[0]
    gates = GATES[call.name.removesuffix("_cell")]
    assert rows is not None
    units, _ = _direction(call, weights, axes[-1], len(weights) == 4)
    for state in given:
        labels = call.axes(state)[-1]
        if state not in call.table.uniform:
            call.unite(labels, units)
        elif labels is not None:
            call.labels.tie([labels, rows[: len(rows) // gates]])
    return [(*axes[:-1], units) for _ in call.results]


def packed(call: Call) -> Any:
    """Label sequences `[B, T, C]` packed to `[steps, C]`."""
    return [(None, *call.axes(call.args[0])[2:]), (None,)]


def unpacked(call: Call) -> Any:
    """Label packed sequences `[steps, C]` that are padded again."""
    return [(None, None, *call.axes(call.args[0])[1:]), (None,)]


def compiled_cell(call: Call, path: str, module: CompiledRNN) -> list[Axes]:
    """Label a layer of a searched cell, whose nodes all have the same units."""
    source, states = call.args[0], call.get(1, "state") or ()
    axes = call.axes(source)
    own = {name: call.axes(weight) for name, weight in module.named_parameters()}
    if module.num_heads > 1 or module.mask is not None:
        for tensor in (source, *states, *module.parameters()):
            call.fix(tensor, f"{path} has heads or a mask")
        return [(None,) * t.dim() for t in call.results]
    units = call.labels.new(module.hidden_size)
    for name, _parameter in module.named_parameters():
        for axis, labels in enumerate(own[name]):
            if name == "on_x" and axis == 2:
                call.unite(labels, axes[2])
                call.reads(labels)
            elif axis >= (2 if name == "on_h" else 1):
                call.unite(labels, units)
            else:
                call.labels.fix(labels, "they are the nodes of a cell")
    if "on_h" in own:
        call.reads(own["on_h"][3])
    for state in states:
        labels = call.axes(state)[-1]
        if state in call.table.uniform and labels is not None:
            call.labels.tie([labels, units])
        else:
            call.unite(units, labels)
    call.trace.makers.append((path, units))
    _output, *last = call.results
    return [(axes[0], axes[1], units), *((None,) * (t.dim() - 1) + (units,) for t in last)]


def placed(call: Call, path: str, module: PlaceChannels) -> list[Axes]:
    """Label a parameter-free shortcut, which can lose any channel on either side."""
    axes = call.axes(call.args[0])
    made = call.labels.new(len(module.places))
    call.trace.leaves[path] = (axes[1], made)
    call.trace.makers.append((path, made))
    return [(axes[0], made, None, None)]


RECURRENT: dict[str, Callable] = {
    **dict.fromkeys(GATES, recurrent),
    **dict.fromkeys((f"{name}_cell" for name in GATES), cell),
    "pack_padded_sequence": packed,
    "pad_packed_sequence": unpacked,
}
LEAVES: dict[type[nn.Module], Callable] = {CompiledRNN: compiled_cell, PlaceChannels: placed}
