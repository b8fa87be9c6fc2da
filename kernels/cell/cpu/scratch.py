"""Memory that is taken again at the next call: fresh pages cost more than small loops do."""

import math
import threading

import torch
from torch import Tensor


class Scratch(threading.local):
    """Named tensors of one thread."""

    def __init__(self) -> None:
        self._buffers: dict[tuple[str, torch.dtype], Tensor] = {}

    def room(self, name: str, dtype: torch.dtype, *shape: int) -> Tensor:
        """Memory for at least so many numbers, flat; valid until the next of its name and type."""
        size = math.prod(shape)
        buffer = self._buffers.get((name, dtype))
        if buffer is None or buffer.shape[0] < size:
            buffer = self._buffers[name, dtype] = torch.empty(size, dtype=dtype)
        return buffer

    def empty(self, name: str, dtype: torch.dtype, *shape: int) -> Tensor:
        """The same as a tensor of this shape."""
        return self.room(name, dtype, *shape)[: math.prod(shape)].view(shape)


scratch = Scratch()
