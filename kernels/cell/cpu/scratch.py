"""Memory that is taken again at the next call: fresh pages cost more than small loops do."""

import math
import threading

import torch
from torch import Tensor


class Scratch(threading.local):
    """Named tensors of one thread."""

    def __init__(self) -> None:
        self._buffers: dict[tuple[str, torch.dtype], Tensor] = {}

    def empty(self, name: str, dtype: torch.dtype, *shape: int) -> Tensor:
        """A tensor that is valid until the next one of its name and type is taken."""
        size = math.prod(shape)
        buffer = self._buffers.get((name, dtype))
        if buffer is None or len(buffer) < size:
            buffer = self._buffers[name, dtype] = torch.empty(size, dtype=dtype)
        return buffer[:size].view(shape)


scratch = Scratch()
