"""Runs wired networks over time on a CPU, forward and backward."""

import ctypes
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from kernels.cell.arguments import check_arguments
from kernels.cell.cpu.build import CannotCompile, build
from kernels.cell.cpu.loops import REALS
from kernels.cell.cpu.scratch import scratch
from kernels.cell.cpu.structs import function_of, number_of, struct_of
from kernels.cell.op import warn_once
from kernels.cell.schedule import Schedule, schedule_of
from kernels.cell.spec import CellSpec
from kernels.wired.emit import emit_wired
from kernels.wired.wiring import WiredWeights, Wiring

_NUMBERS = ("batch", "steps", "networks", "features", "units", "keep", "threads")
_ARRAYS = (
    *("lengths", "first_layer", "first_unit", "squares", "starts", "columns"),
    *("bias", "on_inputs", "on_h", "diagonal", "x", "states", "kept"),
    *("grad_outputs", "grad_last", "grad_initial", "grad_x", "carried", "partial", "nodes"),
    *("above", "grad_bias", "grad_on_inputs", "grad_on_h", "grad_diagonal"),
)


_Arguments = struct_of(_NUMBERS, _ARRAYS)  # the struct `arguments` in wired.c


class WiredLoops:
    """A cell's loops over time for any wiring, compiled for one dtype.

    Raises `CannotCompile`, and `InvalidCell` for a cell that cannot be compiled.
    """

    def __init__(self, cell: CellSpec, dtype: torch.dtype) -> None:
        self.schedule: Schedule = schedule_of(cell)
        library = build(emit_wired(self.schedule, REALS[dtype]))
        self.forward = function_of(library, "forward", _Arguments)
        self.backward = function_of(library, "backward", _Arguments)
        self.panel = number_of(library, "panel")


@lru_cache(maxsize=1024)
def wired_loops(cell: CellSpec, dtype: torch.dtype) -> WiredLoops | None:
    """Return the loops, compiled once per process, or None if they cannot be compiled."""
    if dtype not in REALS:
        return None
    try:
        return WiredLoops(cell, dtype)
    except CannotCompile as error:
        warn_once(f"graph networks run layer by layer: {error}")
        return None


def run_wired(
    loops: WiredLoops,
    wiring: Wiring,
    x: Tensor,
    state: Sequence[Tensor] | None,
    weights: WiredWeights,
    lengths: Tensor | None,
    shown: Tensor,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run the networks over time.

    x: `[B, T, features]`
    state: S tensors `[B, N]`, zeros when absent
    lengths: `[B]`; states are frozen after the end
    shown: the units whose outputs at all steps are returned
    Returns the outputs `[B, T, shown]` and the S last states `[B, N]`.
    Raises `ValueError` if a size does not match.
    """
    states = loops.schedule.cell.states
    check_arguments(x, wiring.features, state, states, wiring.units, lengths)
    if state is None:
        initial = x.new_zeros(len(x), states, wiring.units)
    else:
        initial = torch.stack(tuple(state), dim=1)
    if lengths is not None:
        lengths = lengths.to(torch.int64).contiguous()
    turned = _turned(x, loops.panel), _turned(initial, loops.panel)
    tensors = (*turned, *weights)
    keep = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
    outputs, last = _RunWired.apply(loops, wiring, len(x), lengths, keep, *tensors)  # type: ignore[misc]
    known = _straight(outputs.index_select(2, shown), len(x))
    return known, _straight(last, len(x)).unbind(1)


def _turned(x: Tensor, panel: int) -> Tensor:
    """Transpose `[B, M, C]` to `[P, M, C, panel]`, with zeros after the last sequence."""
    padded = functional.pad(x, (0, 0, 0, 0, 0, -len(x) % panel))
    return padded.unflatten(0, (-1, panel)).permute(0, 2, 3, 1).contiguous()


def _straight(x: Tensor, batch: int) -> Tensor:
    """Undo `_turned`."""
    return x.permute(0, 3, 1, 2).flatten(0, 1)[:batch]


class _RunWired(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        loops: WiredLoops,
        wiring: Wiring,
        batch: int,
        lengths: Tensor | None,
        keep: bool,
        x: Tensor,
        initial: Tensor,
        *tensors: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """x: `[P, T, features, panel]`, initial: `[P, S, N, panel]`."""
        panels, steps, _, panel = x.shape
        count, units = initial.shape[1:3]
        weights = WiredWeights(*(w.contiguous() for w in tensors))
        slots = steps if keep else 1
        states = x.new_empty(panels, steps + 1, count, units, panel)
        states[:, 0] = initial
        kept = x.new_empty(panels, slots, len(loops.schedule.kept), units, panel)
        arrays = {"lengths": lengths, "x": x, "states": states, "kept": kept}
        numbers = (batch, steps, len(wiring.first_layer) - 1, wiring.features, units, int(keep))
        _call(loops.forward, numbers, wiring, weights, arrays)
        if keep:
            ctx.loops, ctx.wiring, ctx.numbers, ctx.lengths = loops, wiring, numbers, lengths
            ctx.save_for_backward(x, states, kept, *weights)
        ctx.set_materialize_grads(False)
        return states[:, 1:, 0], states[:, -1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads_of_results: Tensor | None):  # type: ignore[override]
        grad_outputs, grad_last = grads_of_results
        x, states, kept, *tensors = ctx.saved_tensors
        weights, schedule = WiredWeights(*tensors), ctx.loops.schedule
        count, units, panel = states.shape[2:]
        if grad_last is None:
            grad_last = torch.zeros_like(states[:, 0])
        rows = {
            "carried": 2 * count,
            "partial": len(schedule.partial),
            "nodes": len(schedule.layout.linears) + len(schedule.layout.diagonals),
            "above": 1,
        }
        gathered = [w.new_zeros(*w.shape, panel // 2) for w in weights]
        grad_initial = torch.empty_like(grad_last, memory_format=torch.contiguous_format)
        grad_x = torch.zeros_like(x) if ctx.needs_input_grad[5] else None
        arrays = {
            "lengths": ctx.lengths,
            "x": x,
            "states": states,
            "kept": kept,
            "grad_outputs": None if grad_outputs is None else grad_outputs.contiguous(),
            "grad_last": grad_last.contiguous(),
            "grad_initial": grad_initial,
            "grad_x": grad_x,
            **{
                name: scratch.room(f"wired {name}", x.dtype, n, units, panel)
                for name, n in rows.items()
            },
            **{f"grad_{name}": g for name, g in zip(weights._fields, gathered, strict=True)},
        }
        _call(ctx.loops.backward, ctx.numbers, ctx.wiring, weights, arrays)
        weight_gradients = (gradient.sum(-1) for gradient in gathered)
        return *(None,) * 5, grad_x, grad_initial, *weight_gradients


def _call(
    function: Any,
    numbers: tuple[int, ...],
    wiring: Wiring,
    weights: WiredWeights,
    arrays: dict[str, Tensor | None],
) -> None:
    threads = min(torch.get_num_threads(), numbers[2])
    named = {**wiring._asdict(), **weights._asdict(), **arrays}
    given = {n: a.data_ptr() for n, a in named.items() if isinstance(a, Tensor)}
    function(ctypes.byref(_Arguments(*numbers, threads, **given)))
