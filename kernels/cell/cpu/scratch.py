"""Memory whose pages are cheap: scratch that calls reuse, and fresh memory of large pages; packed
weights that calls reuse.

Fresh pages of the usual 4 KB cost more than small loops: the system clears them one by one.
"""

import ctypes
import math
import sys
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

import torch
from torch import Tensor


class Scratch(threading.local):
    """Named tensors, separate for each thread."""

    def __init__(self) -> None:
        self._buffers: dict[tuple[str, torch.dtype], Tensor] = {}

    def room(self, name: str, dtype: torch.dtype, *shape: int) -> Tensor:
        """Return flat memory for `shape`, valid until the next call with this name and dtype."""
        size = math.prod(shape)
        buffer = self._buffers.get((name, dtype))
        if buffer is None or buffer.shape[0] < size:
            buffer = self._buffers[name, dtype] = torch.empty(size, dtype=dtype)
        return buffer


scratch = Scratch()
PAGE, LARGE_PAGE, USE_LARGE_PAGES = 4096, 2 * 1024 * 1024, 14  # the last as in Linux's mman.h
_LIBRARY = ctypes.CDLL(None) if sys.platform == "linux" else None


def fresh(like: Tensor, *shape: int) -> Tensor:
    """Return an empty tensor with the type of `like`, in large pages where Linux has them."""
    tensor = like.new_empty(shape)
    size = tensor.numel() * tensor.element_size()
    if _LIBRARY is not None and size >= 2 * LARGE_PAGE:
        start = -(-tensor.data_ptr() // PAGE) * PAGE
        end = tensor.data_ptr() + size
        _LIBRARY.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), USE_LARGE_PAGES)
    return tensor


Result = TypeVar("Result")


class UntilChanged(Generic[Result]):
    """A function of one tensor that keeps its last result until the tensor changes."""

    def __init__(self, function: Callable[[Tensor], Result]) -> None:
        self._function = function
        self._last: tuple[Tensor, int, Result] | None = None

    def __call__(self, tensor: Tensor) -> Result:
        if tensor.is_inference():  # does not count its changes
            return self._function(tensor)
        if self._last is not None:
            before, version, result = self._last
            same = before.data_ptr() == tensor.data_ptr() and before.shape == tensor.shape
            if same and version == tensor._version:
                return result
        result = self._function(tensor)
        self._last = tensor.detach(), tensor._version, result
        return result
