"""Each operation's derivative agrees with finite differences."""

import pytest
import torch

from kernels.cell.function import run_loops
from kernels.cell.operations import OPERATIONS
from kernels.cell.schedule import schedule_of
from kernels.cell.spec import CellSpec
from kernels.cell.torch_loops import TorchLoops
from kernels.cell.weights import Weights
from tests.kernels.cell.agreement import drawn

WITH_INPUTS = [name for name, operation in OPERATIONS.items() if operation.most]


@pytest.mark.parametrize("op", WITH_INPUTS)
def test_the_derivative_agrees_with_finite_differences(op: str) -> None:
    """All inputs are positive, because some operations need that."""
    count = max(1, OPERATIONS[op].fewest)
    recipe = {
        **{f"a{i}": {"op": "linear", "input": ["x", "h_prev_0"]} for i in range(count)},
        **{f"s{i}": {"op": "activation_softplus", "input": [f"a{i}"]} for i in range(count)},
        "k": {"op": "constant", "input": [], "value": 0.3},
        **{f"p{i}": {"op": "elementwise_sum", "input": [f"s{i}", "k"]} for i in range(count)},
        "y": {"op": op, "input": [f"p{i}" for i in range(count)]},
        "h_new_0": {"op": "elementwise_prod", "input": ["y", "s0"]},
    }
    cell = CellSpec.from_recipe(recipe)
    loops, (tensors, _) = TorchLoops(schedule_of(cell)), drawn(cell, (2, 6, 2, 2, 3), torch.float64)
    leaves = [tensor.requires_grad_() for tensor in tensors if tensor.numel()]

    def run(*given: torch.Tensor):
        every = iter(given)
        x, state, *weights = (next(every) if t.numel() else t for t in tensors)
        return run_loops(loops, x, state, Weights(*weights))

    assert torch.autograd.gradcheck(run, tuple(leaves))
