"""Rules of operations that join tensors, fill new ones and write into them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from compress.structure.call import Call
from compress.structure.labels import Axes
from compress.structure.moves import moved


def concatenated(call: Call) -> Axes:
    """Label tensors that are concatenated."""
    parts = list(call.get(0, "tensors"))
    parts = [part for part in parts if part.dim() == call.results[0].dim()]
    given = [call.axes(part) for part in parts]
    axis: Any = call.get(1, "dim", call.kwargs.get("axis", 0))
    axis = {"vstack": 0, "hstack": min(1, parts[0].dim() - 1)}.get(call.name, axis)
    axis = int(axis) % parts[0].dim()
    found: list[np.ndarray | None] = []
    for place in range(parts[0].dim()):
        if place != axis:
            found.append(_united(call, [axes[place] for axes in given], parts[0].shape[place]))
            continue
        along = [axes[axis] for axes in given]
        if all(labels is None for labels in along):
            found.append(None)
            continue
        each = []
        for labels, part in zip(along, parts, strict=True):
            if labels is None:
                labels = call.labels.new(part.shape[axis])
                call.labels.fix(labels, f"{call.name} concatenates them with a part of fixed size")
            each.append(labels)
        found.append(np.concatenate(each))
    return tuple(found)


def stacked(call: Call) -> Axes:
    """Label tensors that are stacked along a new axis."""
    parts = list(call.get(0, "tensors"))
    given = [call.axes(part) for part in parts]
    axis = int(call.get(1, "dim", 0)) % call.results[0].dim()
    found = [
        _united(call, [axes[place] for axes in given], parts[0].shape[place])
        for place in range(parts[0].dim())
    ]
    return (*found[:axis], None, *found[axis:])


def _united(call: Call, each: list[np.ndarray | None], size: int) -> np.ndarray | None:
    labels = each[0]
    if size > 1:
        for other in each[1:]:
            labels = call.unite(labels, other)
    return labels


def filled(call: Call) -> Any:
    """Label a tensor with one value everywhere, or noise: nothing depends on its places."""
    (result,) = call.results
    if call.name.endswith("_like"):
        axes = tuple(call.axes(call.args[0]))
    else:
        place = 1 if call.name.startswith("new_") else 0
        sizes = call.numbers(place, "size") if result.dim() else ()
        axes = tuple(call.table.fresh(size) for size in result.shape)
        for number, labels in zip(sizes, axes, strict=False):
            call.size(number, labels)
    call.table.uniform[result] = True
    return axes


def written(call: Call) -> list:
    """Unite the overwritten part of a tensor with what is written there."""
    target, key, value = call.args
    call.table.uniform.pop(target, None)
    with torch._C.DisableTorchFunction():
        part = target[key]
    reading = Call(call.table, Tensor.__getitem__, "getitem", (target, key), {}, part)
    (axes,) = moved(reading)
    if not isinstance(value, Tensor):
        return []
    given = call.axes(value)
    for back in range(1, part.dim() + 1):
        theirs = given[-back] if back <= len(given) and value.shape[-back] > 1 else None
        if part.shape[-back] > 1 and back <= len(given) and value.shape[-back] > 1:
            call.unite(axes[-back], theirs)
    return []


JOINING: dict[str, Callable] = {
    **dict.fromkeys(("cat", "concat", "concatenate", "hstack", "vstack"), concatenated),
    "stack": stacked,
    "setitem": written,
    **dict.fromkeys(
        (
            *("zeros", "ones", "full", "empty", "rand", "randn"),
            *("zeros_like", "ones_like", "full_like", "empty_like", "rand_like", "randn_like"),
            *("new_zeros", "new_ones", "new_full", "new_empty"),
        ),
        filled,
    ),
}
