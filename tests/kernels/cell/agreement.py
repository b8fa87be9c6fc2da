"""Measures an implementation's error against the float64 reference, for all kernel tests."""

from collections.abc import Callable

import torch
from torch import Tensor

from kernels.cell.function import run_loops
from kernels.cell.passes import Loops
from kernels.cell.reference import reference_rnn
from kernels.cell.rows import Rows
from kernels.cell.segments import run_padded
from kernels.cell.spec import CellSpec
from kernels.cell.weights import Weights, layout_of

Sizes = tuple[int, int, int, int, int]  # C, H, N, B, T
Run = Callable[[Tensor, Tensor, Weights], tuple[Tensor, Tensor]]

# Every operation, three states, one of them unread, and a new state that is linear.
MIXED = {
    "z": {"op": "linear", "input": ["x"]},
    "d": {"op": "diagonal", "input": ["h_prev_0"]},
    "q": {"op": "linear", "input": ["h_prev_1", "z"]},
    "k": {"op": "constant", "input": [], "value": 0.25},
    "s": {"op": "elementwise_sum", "input": ["z", "d", "k"]},
    "hs": {"op": "activation_hard_sigm", "input": ["q"]},
    "om": {"op": "one_minus", "input": ["hs"]},
    "mx": {"op": "elementwise_max", "input": ["om", "s"]},
    "id": {"op": "identity", "input": ["mx"]},
    "lr": {"op": "activation_leaky_relu", "input": ["id"]},
    "h_new_0": {"op": "elementwise_prod", "input": ["lr", "hs", "k"]},
    "h_new_1": {"op": "linear", "input": ["h_new_0", "h_prev_1"]},
    "h_new_2": {"op": "activation_relu", "input": ["s"]},
}
# Every other operation, on values for which it is defined.
SMOOTH = {
    "z": {"op": "linear", "input": ["x", "h_prev_0"]},
    "q": {"op": "linear", "input": ["h_prev_1"]},
    "t": {"op": "activation_tanh", "input": ["q"]},
    "e": {"op": "exp", "input": ["t"]},
    "sp": {"op": "activation_softplus", "input": ["z"]},
    "k": {"op": "constant", "input": [], "value": 0.5},
    "low": {"op": "constant", "input": [], "value": -0.75},
    "w": {"op": "diagonal", "input": []},
    "p": {"op": "elementwise_sum", "input": ["e", "k"]},
    "l": {"op": "log", "input": ["p"]},
    "s": {"op": "sqrt", "input": ["p"]},
    "r": {"op": "reciprocal", "input": ["p"]},
    "d": {"op": "elementwise_div", "input": ["z", "s"]},
    "m": {"op": "elementwise_sub", "input": ["l", "w"]},
    "c": {"op": "clamp", "input": ["d", "low", "k"]},
    "si": {"op": "activation_silu", "input": ["z"]},
    "g": {"op": "activation_gelu", "input": ["d"]},
    "sum": {"op": "elementwise_sum", "input": ["c", "si", "g", "r", "sp"]},
    "ln": {"op": "layer_norm", "input": ["sum"]},
    "rn": {"op": "rms_norm", "input": ["ln"]},
    "so": {"op": "softmax", "input": ["h_prev_1"]},
    "mean": {"op": "mean", "input": ["sum"]},
    "both": {"op": "elementwise_prod", "input": ["rn", "mean"]},
    "h_new_0": {"op": "elementwise_sum", "input": ["both", "so", "ln"]},
    "h_new_1": {"op": "elementwise_prod", "input": ["m", "sum", "so"]},
}


def drawn(
    cell: CellSpec, sizes: Sizes, dtype: torch.dtype, device: str = "cpu"
) -> tuple[list[Tensor], list[Tensor]]:
    """Return random x, state and weights; and cotangents of the outputs and last states."""
    features, hidden, heads, batch, steps = sizes
    generator = torch.Generator().manual_seed(7)
    bound = hidden**-0.5
    tensors = [
        torch.randn(batch, steps, features, generator=generator),
        torch.randn(cell.states, batch, hidden, generator=generator),
    ]
    tensors += [
        torch.empty(shape).uniform_(-bound, bound, generator=generator)
        for shape in layout_of(cell).shapes(features, hidden, heads).values()
    ]
    above = [(batch, steps, hidden), (cell.states, batch, hidden)]
    cotangents = [torch.randn(shape, generator=generator) for shape in above]
    return [t.to(device, dtype) for t in tensors], [t.to(device, dtype) for t in cotangents]


def results(run: Run, tensors: list[Tensor], cotangents: list[Tensor]) -> list[Tensor]:
    """Return outputs, last states and all gradients."""
    leaves = [tensor.clone().requires_grad_() for tensor in tensors]
    outputs, last = run(leaves[0], leaves[1], Weights(*leaves[2:]))
    (outputs * cotangents[0]).sum().add((last * cotangents[1]).sum()).backward()
    grads = [torch.zeros_like(t) if t.grad is None else t.grad for t in leaves]
    return [outputs.detach(), last.detach(), *grads]


def by_length(
    loops: Loops, x: Tensor, state: Tensor, weights: Weights, lengths: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Run the loops over padded sequences of these lengths."""

    def run(x: Tensor, state: tuple[Tensor, ...], rows: Rows | None):
        outputs, last = run_loops(loops, x, torch.stack(state), weights, rows)
        return outputs, last.unbind()

    outputs, last = run_padded(run, x, state.unbind(), lengths)
    return outputs, torch.stack(last)


def errors(
    loops: Loops,
    sizes: Sizes,
    dtype: torch.dtype,
    lengths: Tensor | None = None,
    device: str = "cpu",
) -> tuple[float, float]:
    """Return the largest relative error of the loops, and of the reference in the same dtype."""
    cell = loops.schedule.cell

    def reference(x: Tensor, state: Tensor, weights: Weights) -> tuple[Tensor, Tensor]:
        outputs, last = reference_rnn(cell, x, state.unbind(), weights, lengths)
        return outputs, torch.stack(last)

    tensors, cotangents = drawn(cell, sizes, dtype, device)
    exact = results(reference, [t.double() for t in tensors], [t.double() for t in cotangents])

    def error(values: list[Tensor]) -> float:
        return max(
            float((value.double() - right).abs().max() / right.abs().max().clamp(min=1e-30))
            for value, right in zip(values, exact, strict=True)
            if right.numel()
        )

    ours = results(lambda x, s, w: by_length(loops, x, s, w, lengths), tensors, cotangents)
    return error(ours), error(results(reference, tensors, cotangents))
