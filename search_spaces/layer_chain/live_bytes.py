"""Measures the memory of tensors that a computation makes."""

import weakref
from collections import Counter
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of new tensors within the context; `peak` is the most at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = 0
        self._users: Counter[int] = Counter()  # tensors by storage; views share one

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor):
                self._note(tensor)
        return made

    def _note(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        place, size = storage.data_ptr(), storage.nbytes()
        if not self._users[place]:
            self.live += size
            self.peak = max(self.peak, self.live)
        self._users[place] += 1
        weakref.finalize(tensor, self._free, place, size)

    def _free(self, place: int, size: int) -> None:
        self._users[place] -= 1
        if not self._users[place]:
            self.live -= size
