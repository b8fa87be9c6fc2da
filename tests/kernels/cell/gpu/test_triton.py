"""The generated Triton agrees with the reference in Triton's interpreter."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from kernels.cell.gpu.loops import TritonLoops
from kernels.cell.op import compile_cell
from kernels.cell.rows import Rows
from kernels.cell.schedule import schedule_of
from kernels.cell.spec import CellSpec
from kernels.cell.weights import Weights
from kernels.cell.zoo import ZOO
from tests.kernels.cell.agreement import MIXED, SMOOTH, Sizes, drawn, errors

CELLS = {"mixed": MIXED, "smooth": SMOOTH, **ZOO}
ODD: Sizes = (5, 19, 1, 3, 5)  # C, H, N, B, T
TWO_TILES: Sizes = (3, 32, 2, 17, 3)


@pytest.mark.parametrize(
    ("name", "resident"),
    [*((name, True) for name in CELLS), *((name, False) for name in ("mixed", "smooth", "slstm"))],
)
def test_triton_agrees_with_the_reference(name: str, resident: bool) -> None:
    loops = TritonLoops(schedule_of(CellSpec.from_recipe(CELLS[name])), resident)
    ours, _ = errors(loops, ODD, torch.float64, torch.tensor([0, 5, 3]))
    assert ours < 1e-10
    ours, theirs = errors(loops, ODD, torch.float32)
    assert ours <= 8 * max(theirs, 1e-7)


@pytest.mark.parametrize("resident", [True, False], ids=["all steps", "level by level"])
@pytest.mark.parametrize("name", ["mixed", "lstm"])
def test_heads_and_tiles_of_sequences_do_not_mix(name: str, resident: bool) -> None:
    loops = TritonLoops(schedule_of(CellSpec.from_recipe(CELLS[name])), resident)
    ours, _ = errors(loops, TWO_TILES, torch.float64, torch.arange(17) % 4)
    assert ours < 1e-10


def test_recipes_of_the_benchmark_run_in_triton(data_folder: Path) -> None:
    lines = (data_folder / "nas" / "nas_bench_nlp_wt2.jsonl").read_text().splitlines()
    for line in lines[2:256:50]:
        cell = CellSpec.from_recipe(json.loads(line)["recipe"])
        for resident in (True, False):
            loops = TritonLoops(schedule_of(cell), resident)
            ours, _ = errors(loops, (4, 9, 1, 2, 4), torch.float64)
            assert ours < 1e-10, line


def test_nothing_is_kept_without_gradients() -> None:
    cell = CellSpec.from_recipe(ZOO["gru"])
    loops = TritonLoops(schedule_of(cell))
    (x, state, *weights), _ = drawn(cell, ODD, torch.float32)
    for resident in (True, False):
        loops.resident = resident
        projected = (x.transpose(0, 1) @ weights[1].flatten(0, 1).T).unflatten(2, (-1, 19))
        arguments = (projected.flatten(0, 1), Weights(*weights), state, Rows(3, 5))
        kept_all, kept_none = (
            loops.steps_forward(*arguments, True),
            loops.steps_forward(*arguments, False),
        )
        assert torch.equal(kept_all[0], kept_none[0])
        assert kept_none[1].shape[1] == 3


def test_the_gpu_backend_runs_triton() -> None:
    cell = CellSpec.from_recipe(ZOO["mgu"])
    plan = compile_cell(cell, "cpu", torch.float32, "gpu")
    assert plan.backend == "gpu"
    assert "Triton" in plan.explain()


COMPILE = """
import sys, torch, triton, triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from kernels.cell.gpu.loops import TritonLoops
from kernels.cell.schedule import schedule_of
from kernels.cell.spec import CellSpec
from kernels.cell.zoo import ZOO

module = TritonLoops(schedule_of(CellSpec.from_recipe(ZOO["gru"])))._module
for kind, depth in (("fp32", 37), ("bf16", 64)):
    block = max(16, triton.next_power_of_2(depth))
    for name in ("steps_forward", "steps_backward", "forward_1", "backward_1"):
        kernel = getattr(module, name)
        constants = dict(N=1, D=depth, KEEP=True, RAGGED=True, OUTPUTS=True, SUM=tl.float32)
        constants |= dict(BLOCK_B=16, BLOCK_D=block if "steps" in name else 32, BLOCK_K=32)
        types = {}
        for parameter in kernel.params:
            types[parameter.name] = (
                "constexpr" if parameter.name in constants
                else "*i64" if parameter.name == "p_first"
                else "*fp32" if parameter.name in ("p_carried", "p_partial")
                else "*" + kind if parameter.name.startswith("p_") else "i32"
            )
        source = ASTSource(kernel, types, constants)
        done = triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"num_stages": 1})
        print(done.metadata.shared)
"""


def test_the_kernels_compile_for_an_h200(tmp_path: Path) -> None:
    """Checks that Triton and ptxas compile them, and their shared memory; runs nothing there."""
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    environment |= {"TRITON_CACHE_DIR": str(tmp_path), "NAS_CACHE": str(tmp_path)}
    command = [sys.executable, "-c", COMPILE]
    root = Path(__file__).parents[4]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    shared = [int(line) for line in done.stdout.split()]
    assert len(shared) == 8
    assert max(shared) <= 227 * 1024
