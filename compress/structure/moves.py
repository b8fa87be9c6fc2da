"""Rules of operations that move places: indexing, transposing, splitting, padding, reshaping.

Where a place along an axis went is seen by moving numbers of places in its stead.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from compress.structure.labels import Axes
from compress.structure.sizes import Size
from compress.structure.tracing import Call

MOVES = (
    *("getitem", "permute", "transpose", "swapaxes", "swapdims", "movedim", "moveaxis", "t", "T"),
    *("mT", "mH", "H", "adjoint", "squeeze", "unsqueeze", "flip", "fliplr", "flipud", "rot90"),
    *("roll", "narrow", "select", "index_select", "take_along_dim", "unbind", "split", "chunk"),
    *("tensor_split", "split_with_sizes", "unsafe_split", "unsafe_chunk", "hsplit", "vsplit"),
    *("dsplit", "pad", "constant_pad_nd", "reflection_pad1d", "reflection_pad2d"),
    *("reflection_pad3d", "replication_pad1d", "replication_pad2d", "replication_pad3d"),
    *("repeat", "tile", "repeat_interleave", "unfold", "diagonal", "atleast_1d"),
    *("expand", "expand_as", "broadcast_to", "pixel_unshuffle"),
)
EXPANDING = ("expand", "expand_as", "broadcast_to", "repeat", "tile")


def moved(call: Call) -> Any:
    """Labels of a result whose places are those of the first tensor, moved."""
    source = call.args[0] if call.args else call.get(0, "input")
    stack = call.tracer.stack(source)
    if stack is not None:
        found = _of_a_stack(call, stack)
        if found is not None:
            return found
    for other in call.tensors:
        if other is not source and call.name != "expand_as":
            call.fix(other)
    axes: list[list[np.ndarray | None]] = [[None] * r.dim() for r in call.results]
    for axis, labels in enumerate(call.axes(source)):
        if labels is None:
            continue
        for result, places in enumerate(_places(call, source, axis)):
            where, which = places
            if where is not None and which is not None and axes[result][where] is None:
                axes[result][where] = _taken(call, labels, which)
            elif where is not None or which is not None:
                call.fix_if_used(labels)
    if call.name in EXPANDING:
        for result, each in zip(call.results, axes, strict=True):
            _fill_expanded(call, source, result, each)
    _note_sizes(call, axes)
    return [tuple(each) for each in axes]


def _places(
    call: Call, source: Tensor, axis: int
) -> Iterator[tuple[int | None, np.ndarray | None]]:
    """For each result the axis along which the places of an axis of the source lie, and which
    they are (-1 for padding). (None, …) where they lie along none or several."""
    size = source.shape[axis]
    kind = torch.float64 if "pad" in call.name else torch.int64
    numbers = torch.arange(1, size + 1, dtype=kind, device=source.device)
    shape = [1] * source.dim()
    shape[axis] = size
    probe = numbers.view(shape).expand(source.shape)
    args = tuple(probe if a is source else a for a in call.args)
    kwargs = {k: probe if v is source else v for k, v in call.kwargs.items()}
    if call.name == "pad":
        args, kwargs = (probe, call.get(1, "pad"), call.get(2, "mode", "constant")), {}
    moved_numbers = call.func(*args, **kwargs)
    for result in (t for t in tree_leaves(moved_numbers) if isinstance(t, Tensor)):
        yield _axis_of(result.long())


def _axis_of(places: Tensor) -> tuple[int | None, np.ndarray | None]:
    """The axis along which numbers of places change, and the numbers less one; padding is -1."""
    if places.numel() == 0:
        return None, None
    for axis, size in enumerate(places.shape):
        others = [other for other in range(places.dim()) if other != axis]
        line = places.amax(others) if others else places
        if size > 1 and not bool((line == line[0]).all()):
            shape = [1] * places.dim()
            shape[axis] = size
            if bool(((places == line.view(shape)) | (places == 0)).all()):
                return axis, line.cpu().numpy() - 1
    return None, places.flatten()[:1].cpu().numpy()


def _taken(call: Call, labels: np.ndarray, which: np.ndarray) -> np.ndarray:
    """The labels at these places; padding is of new ones that stay."""
    taken = labels[which.clip(0)]
    if (which < 0).any():
        added = call.labels.new(int((which < 0).sum()))
        call.labels.fix(added, f"{call.name} adds a number of them that the code says")
        taken = taken.copy()
        taken[which < 0] = added
    size, count = len(labels), len(which)
    is_run = count < size and np.array_equal(which, np.arange(which[0], which[0] + count))
    if is_run and size % count == 0 and which[0] % count == 0:
        call.labels.tie([*labels.reshape(-1, count)])
    elif not is_run and count < size:
        call.labels.fix(labels, f"{call.name} in {call.tracer.where()} takes some by their number")
    return taken


def _fill_expanded(call: Call, source: Tensor, result: Tensor, axes: list) -> None:
    """Axes that were made by repeating one place: as many places as the number given says."""
    before = (1,) * (result.dim() - source.dim()) + tuple(source.shape)
    numbers = call.get(1, "other").shape if call.name == "expand_as" else call.numbers(1, "size")
    like = call.axes(call.args[1]) if call.name == "expand_as" else (None,) * result.dim()
    for axis, (old, number) in enumerate(zip(before, numbers[-result.dim() :], strict=False)):
        if old == 1 and isinstance(number, Size):
            axes[axis] = call.tracer.fresh(result.shape[axis])
            call.size(number, axes[axis])
        elif old == 1:
            axes[axis] = like[axis]


def _note_sizes(call: Call, axes: list) -> None:
    """Numbers given as the sizes of pieces."""
    if call.name in ("split", "split_with_sizes"):
        sizes = call.get(1, "split_size_or_sections", call.get(1, "split_size"))
        axis = int(call.get(2, "dim", 0))
        each = (sizes,) * len(axes) if isinstance(sizes, int) else sizes
        for number, pieces in zip(each or (), axes, strict=True):
            call.size(number, pieces[axis])
    elif call.name == "narrow" and call.get(2, "start") == 0:
        call.size(call.get(3, "length"), axes[0][int(call.get(1, "dim"))])
    elif call.name == "getitem":
        _note_slices(call, axes[0])


def _note_slices(call: Call, axes: list) -> None:
    key = call.args[1] if isinstance(call.args[1], tuple) else (call.args[1],)
    if not all(isinstance(k, slice) or k is None or k is Ellipsis for k in key):
        return
    source = call.args[0]
    before = [k for k in key[: key.index(Ellipsis)]] if Ellipsis in key else list(key)
    behind = [k for k in key[key.index(Ellipsis) + 1 :]] if Ellipsis in key else []
    slices = [(i, k) for i, k in enumerate(before)]
    slices += [(len(axes) - len(behind) + i, k) for i, k in enumerate(behind)]
    for axis, k in slices:
        if isinstance(k, slice) and isinstance(k.stop, Size) and not k.start:
            call.size(k.stop, axes[axis])
        elif isinstance(k, slice) and isinstance(k.start, Size) and k.stop is None:
            labels = call.axes(source)[axis - len(axes)] if None not in key else None
            call.size(k.start, None if labels is None else labels[: int(k.start)])


def _of_a_stack(call: Call, stack: np.ndarray) -> Any:
    """States `[layers, …, B, H]` of which layers are taken by number; None for anything else."""
    prefix = stack.ndim - 1
    tracer = call.tracer
    if call.name == "index_select" and call.get(1, "dim") == prefix:
        return _stacked(call, stack)
    if call.name in ("unbind", "getitem", "select"):
        key: Any = slice(None)
        if call.name == "getitem":
            key = call.args[1]
        elif call.get(1, "dim", 0) != 0:
            return None
        if call.name == "select":
            key = call.get(2, "index")
        key = key if isinstance(key, tuple) else (key,)
        if Ellipsis in key or None in key or not all(isinstance(k, (int, slice)) for k in key):
            return None
        if any(k != slice(None) for k in key[prefix + 1 :]):
            return None
        left = stack[key[:prefix]]
        pieces = list(left) if call.name == "unbind" else [left]
        results = []
        for piece, result in zip(pieces, call.results, strict=True):
            if piece.ndim == 1:
                results.append((*(None,) * (result.dim() - 1), piece))
            else:
                tracer.stacks[result] = piece
                results.append((None,) * result.dim())
        return results
    return None


def _stacked(call: Call, stack: np.ndarray) -> Axes:
    call.tracer.stacks[call.results[0]] = stack
    return (None,) * call.results[0].dim()


def reshaped(call: Call) -> Any:
    """Labels after axes were merged or divided."""
    source, result = call.args[0], call.results[0]
    if call.name == "view" and isinstance(call.get(1, "dtype"), torch.dtype):
        raise LookupError("a view of another type is not followed")
    stack = call.tracer.stack(source)
    if stack is not None and tuple(result.shape[-2:]) == tuple(source.shape[-2:]):
        if call.name in ("view", "reshape"):
            call.size(call.numbers(1, "shape")[-1], stack.reshape(-1, stack.shape[-1])[0])
        return _stacked(call, stack.reshape(*result.shape[:-2], stack.shape[-1]))
    if source in call.tracer.uniform:
        call.tracer.uniform[result] = True
        axes = [call.tracer.fresh(size) for size in result.shape]
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
    """Shortest runs of axes before and after that hold the same places."""
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


def concatenated(call: Call) -> Axes:
    """Labels of tensors put one behind the other."""
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
                call.labels.fix(labels, f"{call.name} joins them with a part that has a fixed size")
            each.append(labels)
        found.append(np.concatenate(each))
    return tuple(found)


def stacked(call: Call) -> Axes:
    """Labels of tensors put side by side along a new axis."""
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
    """Labels of a tensor with one value everywhere, or of noise: all of them are free."""
    (result,) = call.results
    if call.name.endswith("_like"):
        axes = tuple(call.axes(call.args[0]))
    else:
        place = 1 if call.name.startswith("new_") else 0
        sizes = call.numbers(place, "size") if result.dim() else ()
        axes = tuple(call.tracer.fresh(size) for size in result.shape)
        for number, labels in zip(sizes, axes, strict=False):
            call.size(number, labels)
    call.tracer.uniform[result] = True
    return axes


def written(call: Call) -> list:
    """A part of a tensor is overwritten: it is united with what is written there."""
    target, key, value = call.args
    call.tracer.uniform.pop(target, None)
    with torch._C.DisableTorchFunction():
        part = target[key]
    reading = Call(call.tracer, Tensor.__getitem__, "getitem", (target, key), {}, part)
    (axes,) = moved(reading)
    if not isinstance(value, Tensor):
        return []
    given = call.axes(value)
    for back in range(1, part.dim() + 1):
        theirs = given[-back] if back <= len(given) and value.shape[-back] > 1 else None
        if part.shape[-back] > 1 and back <= len(given) and value.shape[-back] > 1:
            call.unite(axes[-back], theirs)
    return []


def columns_of_patches(call: Call) -> Axes:
    """`[B, C, …]` to `[B, C × places of the kernel, L]`."""
    labels = call.axes(call.args[0])[1]
    result = call.results[0]
    times = result.shape[1] // call.args[0].shape[1]
    return (None, None if labels is None else np.repeat(labels, times), None)


def pixel_shuffled(call: Call) -> Axes:
    """`[…, C·r², h, w]` to `[…, C, h·r, w·r]`: r² channels are one."""
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
    """`[B, C, …]` with the channels read as `[groups, C / groups]` and transposed."""
    axes = list(call.axes(call.args[0]))
    groups = int(call.get(1, "groups"))
    if axes[1] is not None:
        size = len(axes[1]) // groups
        rows, columns = call.labels.divided(axes[1], (groups, size))
        axes[1] = call.labels.merged(columns, rows, (size, groups))
    return tuple(axes)


MOVING: dict[str, Callable] = {
    **dict.fromkeys(MOVES, moved),
    **dict.fromkeys(
        ("view", "reshape", "flatten", "unflatten", "ravel", "view_as", "reshape_as"), reshaped
    ),
    **dict.fromkeys(("cat", "concat", "concatenate", "hstack", "vstack"), concatenated),
    "stack": stacked,
    "setitem": written,
    "im2col": columns_of_patches,
    "pixel_shuffle": pixel_shuffled,
    **dict.fromkeys(("channel_shuffle", "native_channel_shuffle"), channels_shuffled),
    **dict.fromkeys(
        (
            *("zeros", "ones", "full", "empty", "rand", "randn"),
            *("zeros_like", "ones_like", "full_like", "empty_like", "rand_like", "randn_like"),
            *("new_zeros", "new_ones", "new_full", "new_empty"),
        ),
        filled,
    ),
}
