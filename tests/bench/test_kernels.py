"""`nas bench kernels` times cells beside the other ways to run them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from kernels.cell.spec import CellSpec
from kernels.cell.zoo import ZOO
from nas.bench import kernels
from nas.bench.kernels import Setting, measure, sizes_of, table
from nas.core.errors import BadInput
from tests.benchmarks import gpu
from tests.jobs.command import nas

CELLS = {"lstm": CellSpec.from_recipe(ZOO["lstm"])}


def test_a_row_has_the_share_of_peak_and_the_ratio_to_every_other_layer() -> None:
    (row,) = measure(CELLS, ["5-8"], [3], Setting(steps=4), 1)
    assert set(row.ratios) == {"eager", "torch.nn"}
    assert row.of_peak and 0 < row.of_peak < 1
    assert row.ratios["eager"] == row.others["eager"] / row.milliseconds
    assert "5-8" in table([row])


def test_ragged_rows_compare_with_packed_sequences() -> None:
    (row,) = measure(CELLS, ["5"], [3], Setting(steps=16, ragged=True), 1)
    assert "torch.nn" in row.ratios


def test_inference_adds_few_bits_and_int8_programs() -> None:
    rows = list(measure(CELLS, ["8"], [1], Setting(steps=4, inference=True), 1))
    assert [row.form for row in rows] == ["as given", "bfloat16", "int8", "int8, 90 % pruned"]
    assert {"torch.ao int8", "onnxruntime", "onnxruntime int8"} <= set(rows[0].ratios)
    assert [bool(row.of_peak) for row in rows] == [True, False, False, False]


def test_shapes_are_inputs_and_units_of_each_layer() -> None:
    assert sizes_of("64") == (64, 64)
    assert sizes_of("64-512-32") == (64, 512, 32)
    for shape in ("", "64-", "0", "-3", "large"):
        with pytest.raises(BadInput, match="unknown shape"):
            sizes_of(shape)


def test_the_command_names_the_instruction_set() -> None:
    flags = ("--cell", "rnn-tanh", "--shape", 4, "--steps", 3, "--batch", 2, "--repeats", 1)
    ended = nas("bench", "kernels", *flags, "--json")
    assert ended.returncode == 0, ended.stderr
    said = json.loads(ended.stdout)
    assert said["instructions"] and said["rows"][0]["batch"] == 2


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_its_benchmark_refuses_in_one_line() -> None:
    command = [sys.executable, "-m", "tests.benchmarks.gpu"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode and done.stdout == ""
    assert done.stderr == (
        "this measures a GPU, and PyTorch sees none: run it on a machine with one\n"
    )


def test_the_benchmark_of_a_gpu_writes_what_each_part_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken() -> str:
        raise RuntimeError("no such kernel\nand a long trace")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(kernels, "machine", lambda: {"gpu": "one"})
    monkeypatch.setattr(gpu, "PARTS", {"Works": lambda: "fast", "Breaks": broken})
    monkeypatch.setattr(gpu, "RESULTS", tmp_path / "gpu.md")
    gpu.main()
    text = (tmp_path / "gpu.md").read_text()
    assert "gpu one" in text and "## Works\n\nfast" in text
    assert "failed: RuntimeError: no such kernel\n" in text
