"""Recurrences of single numbers: one key and one value feature a head, compiled as a scan."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from kernels.cell.cpu.build import CannotCompile, build
from kernels.cell.cpu.loops import REALS
from kernels.cell.cpu.structs import function_of, struct_of
from kernels.mixer.arguments import Arguments
from kernels.mixer.spec import Recurrence

TEXT = Path(__file__).parent / "diagonal.c"
_ARRAYS = (
    *("lengths", "x", "decay", "state", "h", "last"),
    *("dh", "dlast", "dx", "dlog", "dstate"),
)
_Arguments = struct_of(("rows", "steps", "width", "threads"), _ARRAYS)


def is_diagonal(recurrence: Recurrence) -> bool:
    """Return whether the state of a head is one number that decays and is added to once."""
    one = (recurrence.keys, recurrence.values, recurrence.writes) == (1, 1, 1)
    return one and recurrence.erase == "none" and recurrence.decays == 1


def can_scan(recurrence: Recurrence, dtype: torch.dtype) -> bool:
    """Return whether the recurrence is of single numbers and something compiles its scan."""
    try:
        return is_diagonal(recurrence) and bool(_library(dtype))
    except CannotCompile:
        return False


def run_diagonal(given: Arguments) -> tuple[Tensor, Tensor]:
    """Return the outputs `[B, H, T, 1]` and the last state `[B, H, 1, 1]`; see `can_scan`."""
    library = _library(given.q.dtype)
    assert given.log_decay is not None
    added = given.b * given.k.flatten(3) * given.v.flatten(3)
    x, logs = (t[..., 0].transpose(1, 2).contiguous() for t in (added, given.log_decay))
    sign = None if given.sign is None else given.sign[..., 0].transpose(1, 2)
    h, last = _Scan.apply(library, given.lengths, x, logs, sign, given.state.flatten(1))  # type: ignore
    y = given.q * h.transpose(1, 2).unsqueeze(-1)
    if given.lengths is not None:
        ended = torch.arange(y.shape[2], device=y.device) >= given.lengths.unsqueeze(1)
        y = y.masked_fill(ended[:, None, :, None], 0)
    return y, last[..., None, None]


@lru_cache
def _library(dtype: torch.dtype) -> tuple[Any, Any]:
    text = TEXT.read_text(encoding="utf-8")
    library = build(f"typedef {REALS[dtype]} real;\n{text}")
    return tuple(function_of(library, name, _Arguments) for name in ("forward", "backward"))  # type: ignore


class _Scan(torch.autograd.Function):
    """h[t] = decay[t] h[t-1] + x[t], all `[B, T, C]`, and the last h, `[B, C]`."""

    @staticmethod
    def forward(
        ctx: Any,
        library: tuple[Any, Any],
        lengths: Tensor | None,
        x: Tensor,
        logs: Tensor,
        sign: Tensor | None,
        state: Tensor,
    ) -> tuple[Tensor, Tensor]:
        decay = logs.exp() if sign is None else logs.exp() * sign
        lengths = None if lengths is None else lengths.to(torch.int64).contiguous()
        given = {"x": x, "decay": decay.contiguous(), "state": state.contiguous()}
        h, last = torch.empty_like(x), torch.empty_like(given["state"])
        _call(library[0], x, lengths=lengths, **given, h=h, last=last)
        ctx.library, ctx.lengths = library, lengths
        ctx.save_for_backward(given["decay"], given["state"], h)
        return h, last

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dh: Tensor, dlast: Tensor):  # type: ignore[override]
        decay, state, h = ctx.saved_tensors
        found = {"dx": torch.empty_like(h), "dlog": torch.empty_like(h)}
        found["dstate"] = torch.empty_like(state)
        given = {"decay": decay, "state": state, "h": h, "lengths": ctx.lengths}
        given |= {"dh": dh.contiguous(), "dlast": dlast.contiguous()}
        _call(ctx.library[1], h, **given, **found)
        return None, None, found["dx"], found["dlog"], None, found["dstate"]


def _call(function: Any, like: Tensor, **tensors: Tensor | None) -> None:
    rows, steps, width = like.shape
    pointers = {name: None if t is None else t.data_ptr() for name, t in tensors.items()}
    numbers = {"rows": rows, "steps": steps, "width": width, "threads": torch.get_num_threads()}
    function(_Arguments(**numbers, **pointers))
