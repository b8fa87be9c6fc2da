"""Rules of operations that merge and divide axes: view, flatten, pixel and channel shuffle."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from compress.structure.call import Call
from compress.structure.labels import Axes


def reshaped(call: Call) -> Any:
    """Label a tensor after axes were merged or divided."""
    source, result = call.args[0], call.results[0]
    if call.name == "view" and isinstance(call.get(1, "dtype"), torch.dtype):
        raise LookupError("a view as another dtype cannot be followed")
    stack = call.table.stack(source)
    if stack is not None and tuple(result.shape[-2:]) == tuple(source.shape[-2:]):
        if call.name in ("view", "reshape"):
            call.size(call.numbers(1, "shape")[-1], stack.reshape(-1, stack.shape[-1])[0])
        return call.stacked(stack.reshape(*result.shape[:-2], stack.shape[-1]))
    if source in call.table.uniform:
        call.table.uniform[result] = True
        axes = [call.table.fresh(size) for size in result.shape]
    else:
        axes = _regrouped(call, source, result)
    if call.name in ("view", "reshape"):
        for number, labels in zip(call.numbers(1, "shape"), axes, strict=True):
            call.size(number, labels)
    elif call.name == "unflatten":
        first = int(call.get(1, "dim")) % source.dim()
        for axis, number in enumerate(call.get(2, "sizes")):
            call.size(number, axes[first + axis])
    return tuple(axes)


def _regrouped(call: Call, source: Tensor, result: Tensor) -> list[np.ndarray | None]:
    axes: list[np.ndarray | None] = []
    before, after = list(source.shape), list(result.shape)
    old = list(call.axes(source))
    for many, few in _segments(before, after):
        labels, size = None, 1
        for axis in many:
            labels = call.labels.merged(labels, old[axis], (size, before[axis]))
            size *= before[axis]
        for place, axis in enumerate(few):
            rest = int(np.prod([after[a] for a in few[place + 1 :]], dtype=int))
            if rest == 1:
                mine, labels = (
                    labels if after[axis] > 1 else None,
                    None if after[axis] > 1 else labels,
                )
            elif after[axis] == 1:
                mine = None
            else:
                mine, labels = call.labels.divided(labels, (after[axis], rest))
            axes.append(mine)
    return axes


def _segments(before: list[int], after: list[int]) -> Iterator[tuple[list[int], list[int]]]:
    """Yield the shortest runs of axes, before and after, that hold the same places."""
    i = j = 0
    while i < len(before) or j < len(after):
        many, few, a, b = [], [], 1, 1
        if i < len(before):
            many, a, i = [i], before[i], i + 1
        if j < len(after):
            few, b, j = [j], after[j], j + 1
        while a != b:
            if a < b:
                many.append(i)
                a, i = a * before[i], i + 1
            else:
                few.append(j)
                b, j = b * after[j], j + 1
        yield many, few


def columns_of_patches(call: Call) -> Axes:
    """Label `unfold` from `[B, C, …]` to `[B, C × places of the kernel, L]`."""
    labels = call.axes(call.args[0])[1]
    result = call.results[0]
    times = result.shape[1] // call.args[0].shape[1]
    return (None, None if labels is None else np.repeat(labels, times), None)


def pixel_shuffled(call: Call) -> Axes:
    """Label `[…, C·r², h, w]` as `[…, C, h·r, w·r]`: r² channels become one."""
    source, result = call.args[0], call.results[0]
    axes = list(call.axes(source))
    channels = axes[-3]
    if channels is not None:
        each = channels.reshape(result.shape[-3], -1)
        for other in each.T[1:]:
            call.labels.unite(each[:, 0], other)
        axes[-3] = each[:, 0].copy()
    call.fix_axis(axes[-1])
    call.fix_axis(axes[-2])
    return (*axes[:-2], None, None)


def channels_shuffled(call: Call) -> Axes:
    """Label `[B, C, …]` whose channels are read as `[groups, C / groups]` and transposed."""
    axes = list(call.axes(call.args[0]))
    groups = int(call.get(1, "groups"))
    if axes[1] is not None:
        size = len(axes[1]) // groups
        rows, columns = call.labels.divided(axes[1], (groups, size))
        axes[1] = call.labels.merged(columns, rows, (size, groups))
    return tuple(axes)


RESHAPING: dict[str, Callable] = {
    **dict.fromkeys(
        ("view", "reshape", "flatten", "unflatten", "ravel", "view_as", "reshape_as"), reshaped
    ),
    "im2col": columns_of_patches,
    "pixel_shuffle": pixel_shuffled,
    **dict.fromkeys(("channel_shuffle", "native_channel_shuffle"), channels_shuffled),
}
