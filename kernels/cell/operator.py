"""Compiled cells as operators that PyTorch's compiler calls without looking inside.

Importing this imports the compiler, which takes seconds.
"""

import json
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from kernels.cell.op import compile_cell
from kernels.cell.passes import Loops, Saved, run_backward, run_forward
from kernels.cell.reference import reference_rnn
from kernels.cell.rows import Rows
from kernels.cell.spec import CellSpec, Node
from kernels.cell.weights import Weights

Four = tuple[Tensor, Tensor, Tensor, Tensor]
Six = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]


def run_compiling(
    cell: CellSpec,
    x: Tensor,
    state: Sequence[Tensor],
    weights: Weights,
    rows: Rows | None,
    backend: str,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run a cell in a function that PyTorch's compiler traces; see `run_cell`."""
    if rows is not None or (backend == "newton" and not torch.compiler.is_exporting()):
        return _run_eagerly(cell, x, state, weights, rows, backend)  # type: ignore[call-arg]
    text, name, compute = _described(cell, x.device.type, x.dtype, backend)
    if name == "reference" or torch.compiler.is_exporting():  # no operator of ours in programs
        return reference_rnn(cell, x, state, weights)
    tensors = (x, torch.stack(tuple(state)), *weights)
    keep = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
    outputs, last, *_ = cell_operator(text, name, keep, *(t.to(compute) for t in tensors))
    return outputs.to(x.dtype), last.to(x.dtype).unbind()


@torch.compiler.disable
def _run_eagerly(
    cell: CellSpec,
    x: Tensor,
    state: Sequence[Tensor],
    weights: Weights,
    rows: Rows | None,
    backend: str,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    return compile_cell(cell, x.device.type, x.dtype, backend).run(x, state, weights, rows)


@torch.compiler.assume_constant_result
def _described(
    cell: CellSpec, device: str, dtype: torch.dtype, backend: str
) -> tuple[str, str, torch.dtype]:
    """Return the cell as text, which operators can take, its backend, and the dtype it needs."""
    plan = compile_cell(cell, device, dtype, backend)
    nodes = [(node.op, node.inputs, node.value) for node in cell.nodes]
    return json.dumps([nodes, cell.outputs]), plan.backend, plan.compute


@lru_cache(maxsize=1024)
def _cell(text: str) -> CellSpec:
    nodes, outputs = json.loads(text)
    return CellSpec(
        tuple(Node(op, tuple(inputs), value) for op, inputs, value in nodes), tuple(outputs)
    )


def _loops(text: str, backend: str, x: Tensor) -> Loops:
    loops = compile_cell(_cell(text), x.device.type, x.dtype, backend).loops
    assert loops is not None, "the reference runs without this operator"
    return loops


@torch.library.custom_op("nas::cell", mutates_args=())
def cell_operator(
    cell: str,
    backend: str,
    keep: bool,
    x: Tensor,
    state: Tensor,
    bias: Tensor,
    on_x: Tensor,
    on_h: Tensor,
    diagonal: Tensor,
) -> Four:
    """Run a cell over x `[B, T, C]`; return outputs, last states, and what the gradient needs."""
    weights = Weights(*(w.contiguous() for w in (bias, on_x, on_h, diagonal)))
    rows = Rows(x.shape[0], x.shape[1])
    loops = _loops(cell, backend, x)
    outputs, last, saved = run_forward(loops, x, state, weights, rows, keep)
    if not keep:
        return outputs.contiguous(), last, x.new_empty(0), x.new_empty(0)
    return outputs.clone(memory_format=torch.contiguous_format), last, saved.states, saved.kept


@cell_operator.register_fake
def _(cell, backend, keep, x, state, bias, on_x, on_h, diagonal):
    batch, steps, _ = x.shape
    outputs = x.new_empty(batch, steps, bias.shape[1])
    if not keep:
        return outputs, torch.empty_like(state), x.new_empty(0), x.new_empty(0)
    loops = _loops(cell, backend, x)
    row = (on_h.shape[1], loops.width(on_h.shape[2]))
    states = x.new_empty(len(state), batch * (steps + 1), *row)
    kept = x.new_empty(len(loops.schedule.kept), batch * steps, *row)
    return outputs, torch.empty_like(state), states, kept


@torch.library.custom_op("nas::cell_backward", mutates_args=())
def cell_backward(
    cell: str,
    backend: str,
    x: Tensor,
    states: Tensor,
    kept: Tensor,
    bias: Tensor,
    on_x: Tensor,
    on_h: Tensor,
    diagonal: Tensor,
    grad_outputs: Tensor,
    grad_last: Tensor,
) -> Six:
    """Return the gradients of x, the state and the weights."""
    rows = Rows(x.shape[0], x.shape[1])
    weights = Weights(*(w.contiguous() for w in (bias, on_x, on_h, diagonal)))
    saved = Saved(x.transpose(0, 1).reshape(rows.total, x.shape[2]), states, kept)
    above, loops = (grad_outputs, grad_last), _loops(cell, backend, x)
    found = run_backward(loops, saved, weights, rows, above, True, (True, True))
    like = (x, grad_last, bias, on_x, on_h, diagonal)
    return tuple(  # type: ignore[return-value]
        torch.zeros_like(tensor) if gradient is None else gradient.contiguous()
        for gradient, tensor in zip(found, like, strict=True)
    )


@cell_backward.register_fake
def _(cell, backend, x, states, kept, bias, on_x, on_h, diagonal, grad_outputs, grad_last):
    like = (x, grad_last, bias, on_x, on_h, diagonal)
    return tuple(tensor.new_empty(tensor.shape) for tensor in like)


def _setup(ctx, inputs, output) -> None:
    cell, backend, _, x, _, *weights = inputs
    ctx.cell, ctx.backend = cell, backend
    ctx.save_for_backward(x, output[2], output[3], *weights)


def _backward(ctx, grad_outputs, grad_last, *_):
    found = cell_backward(ctx.cell, ctx.backend, *ctx.saved_tensors, grad_outputs, grad_last)
    return None, None, None, *found


cell_operator.register_autograd(_backward, setup_context=_setup)
