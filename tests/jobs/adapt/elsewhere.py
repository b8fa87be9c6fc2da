"""A device that does not exist, on which operations give real values.

Tensors that are moved to it hold their values on the CPU; an operation on some of them and on
tensors of the CPU fails, as on a GPU.
"""

from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

DEVICE = torch.device("meta")
MOVES = ("aten::copy_", "aten::_to_copy")


class Elsewhere(Tensor):
    """A tensor on the device."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> "Elsewhere":
        layout = {"strides": held.stride(), "storage_offset": held.storage_offset()}
        made = Tensor._make_wrapper_subclass(
            cls, held.shape, dtype=held.dtype, device=DEVICE, **layout
        )
        made.held = held
        return made

    def tolist(self) -> Any:
        return self.held.tolist()

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _ran(func, args, kwargs or {})


class _Made(TorchFunctionMode):
    """Moves what `torch.tensor` makes, which dispatches nothing for a device without values."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        wanted = (kwargs or {}).get("device")
        if func is torch.tensor and wanted is not None and torch.device(wanted) == DEVICE:
            return func(*args, **{**kwargs, "device": "cpu"}).to(DEVICE)
        return func(*args, **(kwargs or {}))


class OtherDevice(TorchDispatchMode):
    """Lets `DEVICE` be used in this context."""

    def __enter__(self) -> Any:
        self._made = _Made()
        self._made.__enter__()
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._made.__exit__(*error)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _ran(func, args, kwargs or {})


def _ran(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    there = [tensor for tensor in tensors if isinstance(tensor, Elsewhere)]
    here = [t for t in tensors if not isinstance(t, Elsewhere) and t.dim()]
    if there and here and func._schema.name not in MOVES:
        raise RuntimeError(f"{func._schema.name} has tensors on both devices")
    wanted = kwargs.get("device")
    if wanted is not None:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    found = func(*tree_map_only(Elsewhere, lambda t: t.held, args), **kwargs)
    moved = bool(there) if wanted is None else torch.device(wanted) == DEVICE
    return tree_map_only(Tensor, lambda t: _wrapped(t, there), found) if moved else found


def _wrapped(found: Tensor, there: list[Elsewhere]) -> Elsewhere:
    """Return the tensor on the device; operations in place return the one they changed."""
    same = [one for one in there if one.held is found]
    return same[0] if same else Elsewhere(found)
