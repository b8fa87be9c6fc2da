"""Rules of layers that multiply and sum: linear layers, convolutions, embeddings."""

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor

from compress.structure.call import Call
from compress.structure.labels import Axes, Product
from compress.structure.trace import Blocks


def linear(call: Call) -> Axes:
    """Label the result of `[…, C]` times a weight `[outputs, C]`."""
    source, weight, bias = call.args[0], call.get(1, "weight"), call.get(2, "bias")
    axes, (outputs, inputs) = call.axes(source), call.axes(weight)
    call.unite(axes[-1], inputs)
    call.reads(inputs)
    call.makes(weight, outputs)
    return (*axes[:-1], _with_bias(call, outputs, bias))


def _with_bias(call: Call, outputs: np.ndarray | None, bias: Any) -> np.ndarray | None:
    if isinstance(bias, Tensor) and bias.numel() > 1:
        return call.unite(outputs, call.axes(bias)[-1])
    return outputs


def convolution(call: Call) -> Axes:
    """Label the result of a convolution of `[B, C, …]`.

    The weight is `[outputs, C / groups, …]`, or transposed `[C, outputs / groups, …]`.
    """
    source, weight, bias = call.args[0], call.get(1, "weight"), call.get(2, "bias")
    is_transposed = "transpose" in call.name
    groups = call.get(6, "groups", 1)
    spatial = weight.dim() - 2
    is_batched = source.dim() == weight.dim()
    axes = call.axes(source)
    inputs, places = (axes[1], axes[2:]) if is_batched else (axes[0], axes[1:])
    for labels in places:
        call.fix_axis(labels)
    if groups == 1:
        first, second = call.axes(weight)[:2]
        outputs, reads = (second, first) if is_transposed else (first, second)
        call.unite(inputs, reads)
        call.reads(reads)
    else:
        outputs = _grouped(call, weight, inputs, int(groups), is_transposed)
    for labels in call.axes(weight)[2:]:
        call.fix_axis(labels)
    outputs = _with_bias(call, outputs, bias)
    if outputs is not inputs:
        call.makes(weight, outputs)
    left = (outputs, *(None,) * spatial)
    return (axes[0], *left) if is_batched else left


def _grouped(
    call: Call, weight: Tensor, inputs: np.ndarray | None, groups: int, is_transposed: bool
) -> np.ndarray | None:
    """Return the output labels of a grouped convolution; unite its inputs with what it reads."""
    own = call.axes(weight)
    size = weight.shape[1] * groups if is_transposed else weight.shape[0]
    each = (weight.shape[0] if is_transposed else weight.shape[1] * groups) // groups
    if each == 1:
        return _depthwise(call, weight, inputs, groups, size, is_transposed)
    if is_transposed:
        call.unite(inputs, own[0])
        call.reads(own[0])
        outputs = _blocks(call, weight, groups)
    else:
        outputs, reads = own[0], _blocks(call, weight, groups)
        call.unite(inputs, reads)
        call.reads(reads)
    for labels in (inputs, outputs):
        if labels is not None and len(labels) > groups:
            call.labels.tie([*labels.reshape(groups, -1)])
        else:
            call.fix_axis(labels)
    return outputs


def _blocks(call: Call, weight: Tensor, groups: int) -> np.ndarray | None:
    """Return labels for the second axis of a weight, different ones in each group."""
    name = call.table.names.get(id(weight))
    if name is None or weight.shape[1] == 1:
        call.fix(weight)
        return None
    known = call.trace.axes[name]
    if not isinstance(known[1], Blocks):
        known[1] = Blocks(call.labels.new(groups * weight.shape[1]).reshape(groups, -1))
    return known[1].labels.ravel()


def _depthwise(
    call: Call,
    weight: Tensor,
    inputs: np.ndarray | None,
    groups: int,
    size: int,
    is_transposed: bool,
) -> np.ndarray | None:
    """Return the output labels of a depthwise convolution, with one or more outputs per channel."""
    own = call.axes(weight)[0]
    call.size(call.get(6, "groups"), inputs)
    if size == groups:
        return call.unite(inputs, own)
    times = size // groups
    if is_transposed:
        call.unite(inputs, own)
        columns = call.axes(weight)[1]
        return call.labels.merged(inputs, columns, (groups, times))
    if inputs is None or own is None:
        call.fix_axis(own)
        return own
    columns = call.labels.new(times)
    call.labels.fix(columns, "one convolution makes several channels from each")
    call.labels.products.append(Product(inputs, columns, own.reshape(groups, times)))
    return own


def embedding(call: Call) -> Axes:
    """Label rows that are looked up in a table."""
    table, index = call.args[0], call.args[1]
    if call.name == "embedding_bag":
        rows, columns = call.axes(table)
        call.fix_axis(rows)
        call.makes(table, columns)
        return [(None, columns), *((None,) * r.dim() for r in call.results[1:])]  # type: ignore[return-value]
    rows, columns = call.axes(table)
    call.fix_axis(rows)
    call.makes(table, columns)
    return (*call.axes(index), columns)


def bilinear(call: Call) -> Axes:
    """Label the result of `[…, A]` and `[…, B]` times a weight `[outputs, A, B]`."""
    one, other, weight, bias = (call.get(i, n) for i, n in enumerate(("a", "b", "weight", "bias")))
    outputs, first, second = call.axes(weight)
    call.unite(call.axes(one)[-1], first)
    call.unite(call.axes(other)[-1], second)
    call.reads(first)
    call.reads(second)
    call.makes(weight, outputs)
    return (*call.axes(one)[:-1], _with_bias(call, outputs, bias))


CONTRACTING: dict[str, Callable] = {
    "linear": linear,
    **{f"conv{n}d": convolution for n in (1, 2, 3)},
    **{f"conv_transpose{n}d": convolution for n in (1, 2, 3)},
    **dict.fromkeys(("embedding", "embedding_bag"), embedding),
    "bilinear": bilinear,
}
