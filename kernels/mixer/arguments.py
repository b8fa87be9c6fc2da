"""The tensors of a recurrence, checked."""

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from kernels.mixer.spec import Recurrence


@dataclass(frozen=True)
class Arguments:
    """The tensors of one call of a recurrence, all of one dtype.

    q: queries `[B, H, T, K]`. k: keys `[B, H, T, n, K]`. v: values `[B, H, T, n, V]`.
    b: write strengths `[B, H, T, n]`. e: erase keys in the shape of k, where they are its own.
    log_decay: log |a|, `[B, H, T, 1]` or `[B, H, T, K]`; -inf resets the state.
    sign: of a, in the shape of log_decay; positive when absent.
    state: S before the first step, `[B, H, K, V]`.
    lengths: steps of each sequence, `[B]`; beyond them outputs are 0 and the state stays.
    """

    q: Tensor
    k: Tensor
    v: Tensor
    b: Tensor
    e: Tensor | None
    log_decay: Tensor | None
    sign: Tensor | None
    state: Tensor
    lengths: Tensor | None

    def decay(self) -> Tensor | None:
        """Return a = sign · exp(log |a|), if the recurrence decays."""
        if self.log_decay is None:
            return None
        decay = self.log_decay.exp()
        return decay if self.sign is None else decay * self.sign

    def to(self, dtype: torch.dtype) -> "Arguments":
        """Return the arguments with all numbers in another dtype."""
        given = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "lengths"}
        return replace(self, **{n: None if t is None else t.to(dtype) for n, t in given.items()})


def checked(
    recurrence: Recurrence,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    b: Tensor,
    e: Tensor | None,
    log_decay: Tensor | None,
    sign: Tensor | None,
    state: Tensor | None,
    lengths: Tensor | None,
) -> Arguments:
    """Return the arguments; raises `ValueError` for shapes that do not fit the recurrence."""
    if q.dim() != 4 or q.shape[3] != recurrence.keys:
        raise ValueError(f"q is {list(q.shape)}, expected [B, H, T, {recurrence.keys}]")
    batch, heads, steps, keys = q.shape
    if steps == 0:
        raise ValueError(f"q is {list(q.shape)}: sequences need at least 1 step")
    each = (batch, heads, steps)
    decays = (*each, recurrence.decays) if recurrence.decays else None
    erased = (*each, recurrence.writes, keys) if recurrence.erase == "own" else None
    _expect("k", k, (*each, recurrence.writes, keys))
    _expect("v", v, (*each, recurrence.writes, recurrence.values))
    _expect("b", b, (*each, recurrence.writes))
    _expect("e", e, erased)
    _expect("log_decay", log_decay, decays)
    _expect("sign", sign, decays if sign is not None else None)
    _expect("lengths", lengths, (batch,) if lengths is not None else None)
    shape = (batch, heads, keys, recurrence.values)
    if state is None:
        state = q.new_zeros(shape)
    _expect("state", state, shape)
    for name, tensor in (
        ("k", k),
        ("v", v),
        ("b", b),
        ("e", e),
        ("log_decay", log_decay),
        ("sign", sign),
        ("state", state),
    ):
        if tensor is not None and (tensor.dtype != q.dtype or tensor.device != q.device):
            raise ValueError(
                f"{name} is {tensor.dtype} on {tensor.device}, but q is {q.dtype} on {q.device}: "
                "convert one of them"
            )
    return Arguments(q, k, v, b, e, log_decay, sign, state, _whole(lengths, steps, q.device))


def _expect(name: str, tensor: Tensor | None, shape: tuple[int, ...] | None) -> None:
    if shape is None and tensor is not None:
        raise ValueError(f"this recurrence takes no {name}: leave it out")
    if shape is not None and tensor is None:
        raise ValueError(f"this recurrence needs {name} {list(shape)}")
    if shape is not None and tensor is not None and tuple(tensor.shape) != shape:
        raise ValueError(f"{name} is {list(tensor.shape)}, expected {list(shape)}")


def _whole(lengths: Tensor | None, steps: int, device: torch.device) -> Tensor | None:
    if lengths is None:
        return None
    if lengths.is_floating_point() or bool((lengths < 0).any()) or bool((lengths > steps).any()):
        raise ValueError(f"lengths must be whole numbers from 0 to {steps}")
    return lengths.to(device)
