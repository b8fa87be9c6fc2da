"""The generated Triton, compiled on a GPU, is as exact and reproducible as promised."""

import pytest
import torch

from kernels.cell.gpu.loops import TritonLoops
from kernels.cell.layer import CompiledRNN
from kernels.cell.schedule import schedule_of
from kernels.cell.spec import CellSpec
from tests.kernels.cell.agreement import errors
from tests.kernels.cell.gpu.test_triton import CELLS

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"),
]


@pytest.mark.parametrize("hidden", [1, 37, 64, 128, 600])
@pytest.mark.parametrize("name", ["lstm", "gru", "mixed", "rhn"])
def test_float32_is_as_exact_as_the_reference(name: str, hidden: int) -> None:
    cell = CellSpec.from_recipe(CELLS[name])
    loops = TritonLoops(schedule_of(cell))
    ours, theirs = errors(loops, (32, hidden, 1, 20, 70), torch.float32, device="cuda")
    assert ours <= 8 * max(theirs, 1e-7)


@pytest.mark.parametrize("steps", [1, 63, 4096])
def test_bfloat16_is_as_exact_as_an_eager_loop(steps: int) -> None:
    cell = CellSpec.from_recipe(CELLS["lstm"])
    loops = TritonLoops(schedule_of(cell))
    ours, theirs = errors(loops, (64, 64, 1, 16, steps), torch.bfloat16, device="cuda")
    assert ours <= 1.5 * theirs


def test_two_backward_passes_are_bit_equal() -> None:
    cell = CellSpec.from_recipe(CELLS["lstm"])
    rnn = CompiledRNN(cell, 64, 128).cuda()
    x = torch.randn(16, 256, 64, device="cuda")
    grads = []
    for _ in range(2):
        rnn.zero_grad()
        rnn(x)[0].sum().backward()
        grads.append([p.grad.clone() for p in rnn.parameters() if p.grad is not None])
    assert all(torch.equal(a, b) for a, b in zip(*grads, strict=True))
