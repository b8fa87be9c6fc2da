"""What calls reuse: scratch memory, as fresh memory pages cost more than small loops, and packed
weights."""

import math
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

    def empty(self, name: str, dtype: torch.dtype, *shape: int) -> Tensor:
        """Return the same memory as a tensor of exactly this shape."""
        return self.room(name, dtype, *shape)[: math.prod(shape)].view(shape)


scratch = Scratch()
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
