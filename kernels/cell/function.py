"""Makes the passes of a cell one differentiable function, in eager mode and for compilers."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from torch import Tensor

from kernels.cell.passes import Loops, Saved, run_backward, run_forward
from kernels.cell.rows import Rows
from kernels.cell.weights import Weights

ONCE = "compiled cells have no second derivatives: call set_backend(model, 'reference')"
NO_TRANSFORMS = (
    "compiled cells run neither in vmap nor in other transforms of torch.func: "
    "call set_backend(model, 'reference')"
)

_C: Any = torch._C  # without type hints for what follows
_ANY_TRANSFORM, _RAISES = _C._functorch.peek_interpreter_stack, _C._functions.DelayedError


def run_loops(
    loops: Loops, x: Tensor, state: Tensor, weights: Weights, rows: Rows | None = None
) -> tuple[Tensor, Tensor]:
    """Run the cell.

    x: `[B, T, C]`, or `[R, C]` with `rows`
    state: `[S, B, H]`
    Returns the outputs, `[B, T, H]` or `[R, H]`, and the last states, `[S, B, H]`.
    Raises `RuntimeError` within a transform of torch.func.
    """
    if _ANY_TRANSFORM() is not None:
        raise RuntimeError(NO_TRANSFORMS)
    tensors = (x, state, *weights)
    keep = torch.is_grad_enabled() and any(t.requires_grad for t in tensors)
    rows = rows or Rows(x.shape[0], x.shape[1])
    if not keep:
        weights = Weights(*(w.contiguous() for w in weights))
        return run_forward(loops, x, state, weights, rows, keep)[:2]
    return _RunLoops.apply(loops, rows, keep, *tensors)  # type: ignore[return-value]


def only_once(backward: Callable[..., tuple[Tensor | None, ...]]) -> Callable[..., Any]:
    """Let a second derivative raise `RuntimeError`, even if the first one depends on nothing."""

    @wraps(backward)
    def once(ctx: Any, *above: Tensor | None) -> Any:
        with torch.no_grad():
            found = backward(ctx, *above)
        if not torch.is_grad_enabled():
            return found
        seen = [None if g is None else g.detach().requires_grad_() for g in found]
        return _RAISES(ONCE.encode(), len(seen))(*seen)

    return once


class _RunLoops(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        loops: Loops,
        rows: Rows,
        keep: bool,
        x: Tensor,
        state: Tensor,
        *tensors: Tensor,
    ) -> tuple[Tensor, Tensor]:
        weights = Weights(*(w.contiguous() for w in tensors))
        outputs, last, saved = run_forward(loops, x, state, weights, rows, keep)
        if keep:
            ctx.loops, ctx.rows, ctx.padded = loops, rows, x.dim() == 3
            ctx.save_for_backward(*saved, *weights)
        ctx.set_materialize_grads(False)
        return outputs, last

    @staticmethod
    @only_once
    def backward(ctx: Any, *above: Any) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        flat, states, kept, *tensors = ctx.saved_tensors
        saved, weights = Saved(flat, states, kept), Weights(*tensors)
        needs = ctx.needs_input_grad[3], ctx.needs_input_grad[7]
        found = run_backward(ctx.loops, saved, weights, ctx.rows, above, ctx.padded, needs)
        return None, None, None, *found
