"""Scratch memory that calls reuse: fresh memory pages cost more than small loops."""

import math
import threading

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
