"""The generated C agrees with the reference, forward and backward."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from kernels.cell.cpu.loops import CompiledLoops
from kernels.cell.function import run_loops
from kernels.cell.layer import CompiledRNN
from kernels.cell.schedule import schedule_of
from kernels.cell.spec import CellSpec
from kernels.cell.weights import Weights
from kernels.cell.zoo import ZOO
from tests.kernels.cell.agreement import MIXED, SMOOTH, Sizes, drawn, errors, results

CELLS = {"mixed": MIXED, "smooth": SMOOTH, **ZOO}
SIZES: dict[str, Sizes] = {
    "one of everything": (1, 1, 1, 1, 1),
    "part of a panel": (5, 19, 1, 3, 5),
    "several blocks and heads": (7, 80, 2, 25, 4),
}


@pytest.mark.parametrize("name", CELLS)
def test_c_agrees_with_the_reference(name: str) -> None:
    schedule = schedule_of(CellSpec.from_recipe(CELLS[name]))
    double, single = (CompiledLoops(schedule, dtype) for dtype in (torch.float64, torch.float32))
    for sizes in SIZES.values():
        lengths = torch.arange(sizes[3]) % (sizes[4] + 1)
        assert errors(double, sizes, torch.float64, lengths)[0] < 1e-10
        ours, theirs = errors(single, sizes, torch.float32)
        assert ours <= 8 * max(theirs, 1e-7)


def recipes(data_folder: Path) -> list[CellSpec]:
    """Return the distinct cells of the shared recipes."""
    text = (data_folder / "nas" / "nas_bench_nlp_wt2.jsonl").read_text()
    cells = [CellSpec.from_recipe(json.loads(line)["recipe"]) for line in text.splitlines()]
    return list(dict.fromkeys(cell.canonical() for cell in cells))


def test_recipes_of_the_benchmark_agree(data_folder: Path) -> None:
    check_all(recipes(data_folder)[3::34])


@pytest.mark.slow
def test_all_recipes_of_the_benchmark_agree(data_folder: Path) -> None:
    check_all(recipes(data_folder))


def check_all(cells: list[CellSpec]) -> None:
    for cell in cells:
        single, double = (
            CompiledLoops(schedule_of(cell), dtype) for dtype in (torch.float32, torch.float64)
        )
        for steps in (9, 3):  # products of products overflow within 9 steps
            sizes = (5, 33, 1, 13, steps)
            ours, theirs = errors(single, sizes, torch.float32)
            if math.isfinite(theirs):
                break
        assert ours <= 8 * max(theirs, 1e-7), cell
        assert errors(double, sizes, torch.float64)[0] < 1e-10, cell


def test_results_do_not_depend_on_threads_or_batch_size() -> None:
    loops = CompiledLoops(schedule_of(CellSpec.from_recipe(ZOO["lstm"])), torch.float32)
    tensors, cotangents = drawn(loops.schedule.cell, (64, 256, 1, 25, 6), torch.float32)
    before, outcomes = torch.get_num_threads(), []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        outcomes.append(
            results(lambda x, s, w: run_loops(loops, x, s, w, None), tensors, cotangents)
        )
    torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(*outcomes, strict=True))
    x, state, *weights = tensors
    part, _ = run_loops(loops, x[3:5], state[:, 3:5], Weights(*weights), None)
    assert torch.equal(outcomes[0][0][3:5], part)


def test_inputs_with_any_strides_give_the_same_outputs() -> None:
    layer = CompiledRNN(CellSpec.from_recipe(ZOO["gru"]), 6, 10)
    x = torch.randn(5, 8, 12)[:, :, ::2].transpose(0, 1)
    assert torch.equal(layer(x)[0], layer(x.contiguous())[0])


def test_without_gradients_the_outputs_are_the_same() -> None:
    layer = CompiledRNN(CellSpec.from_recipe(ZOO["rhn"]), 6, 10)
    x = torch.randn(3, 5, 6)
    expected = layer(x)[0]
    for context in (torch.no_grad(), torch.inference_mode()):
        with context:
            assert torch.equal(layer(x)[0], expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(dtype: torch.dtype) -> None:
    layer = CompiledRNN(CellSpec.from_recipe(ZOO["lstm"]), 6, 10).to(dtype)
    x = torch.randn(3, 5, 6).to(dtype)
    outputs, state = layer(x)
    assert outputs.dtype == state[1].dtype == dtype
    exact, _ = layer.float()(x.float())
    assert torch.equal(outputs, exact.to(dtype))


NO_COMPILER = """
import warnings, torch
from kernels.cell.layer import CompiledRNN
from kernels.cell.spec import CellSpec
from kernels.cell.zoo import ZOO
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for name in ("lstm", "gru"):
        cell = CellSpec.from_recipe(ZOO[name])
        layers = [CompiledRNN(cell, 3, 4, 2, backend=backend).double()
                  for backend in ("auto", "reference")]
        layers[1].load_state_dict(layers[0].state_dict())
        x = torch.randn(2, 5, 3, dtype=torch.float64)
        ours, theirs = (layer(x, lengths=torch.tensor([5, 2])) for layer in layers)
        torch.testing.assert_close(ours, theirs)
        for outputs, _ in (ours, theirs):
            outputs.sum().backward()
        for a, b in zip(*(layer.parameters() for layer in layers)):
            torch.testing.assert_close(a.grad, b.grad)
print(sum("no C compiler" in str(w.message) for w in caught))
"""


def test_without_a_compiler_results_agree_and_one_warning_says_so(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", NO_COMPILER],
        cwd=Path(__file__).parents[4],
        env={"PATH": str(tmp_path), "NAS_CACHE": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "1"


@pytest.mark.parametrize("op", ["elementwise_max", "activation_hard_sigm", "activation_relu"])
def test_nan_stays_nan(op: str) -> None:
    inputs = ["a", "b"] if op == "elementwise_max" else ["a"]
    recipe = {
        "a": {"op": "linear", "input": ["x"]},
        "b": {"op": "linear", "input": ["h_prev_0"]},
        "m": {"op": op, "input": inputs},
        "h_new_0": {"op": "elementwise_sum", "input": ["m", "b"]},
    }
    layer = CompiledRNN(CellSpec.from_recipe(recipe), 2, 3)
    outputs, _ = layer(torch.tensor([[[1.0, 2.0], [float("nan"), 0.0]]]))
    assert outputs[0, 0].isfinite().all()
    assert outputs[0, 1].isnan().all()
