"""Rules of operations that move places: indexing, transposing, splitting, padding, repeating.

Where a place along an axis goes is found by moving the numbers of the places in its stead.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from compress.structure.call import Call
from compress.structure.sizes import Size

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
    """Label results whose places are moved places of the first tensor."""
    source = call.args[0] if call.args else call.get(0, "input")
    stack = call.table.stack(source)
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
    """Yield, for each result, the axis where the places of a source axis lie, and which places.

    Padding is -1. The axis is None if the places lie along no single axis.
    """
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
    """Return the axis along which the numbers change, and the numbers less one; padding is -1."""
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
    """Return the labels at these places; padding gets new labels that stay."""
    taken = labels[which.clip(0)]
    if (which < 0).any():
        added = call.labels.new(int((which < 0).sum()))
        call.labels.fix(added, f"{call.name} adds a fixed number of them")
        taken = taken.copy()
        taken[which < 0] = added
    size, count = len(labels), len(which)
    is_run = count < size and np.array_equal(which, np.arange(which[0], which[0] + count))
    if is_run and size % count == 0 and which[0] % count == 0:
        call.labels.tie([*labels.reshape(-1, count)])
    elif not is_run and count < size:
        call.labels.fix(
            labels, f"{call.name} in {call.table.where()} selects some of them by index"
        )
    return taken


def _fill_expanded(call: Call, source: Tensor, result: Tensor, axes: list) -> None:
    """Label the axes that were made by repeating a single place."""
    before = (1,) * (result.dim() - source.dim()) + tuple(source.shape)
    numbers = call.get(1, "other").shape if call.name == "expand_as" else call.numbers(1, "size")
    like = call.axes(call.args[1]) if call.name == "expand_as" else (None,) * result.dim()
    for axis, (old, number) in enumerate(zip(before, numbers[-result.dim() :], strict=False)):
        if old == 1 and isinstance(number, Size):
            axes[axis] = call.table.fresh(result.shape[axis])
            call.size(number, axes[axis])
        elif old == 1:
            axes[axis] = like[axis]


def _note_sizes(call: Call, axes: list) -> None:
    """Note the sizes that were passed for the pieces."""
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
    """Label layers selected from states `[layers, …, B, H]`; None for any other selection."""
    prefix = stack.ndim - 1
    table = call.table
    if call.name == "index_select" and call.get(1, "dim") == prefix:
        return call.stacked(stack)
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
                table.stacks[result] = piece
                results.append((None,) * result.dim())
        return results
    return None


MOVING: dict[str, Callable] = dict.fromkeys(MOVES, moved)
