"""`nas bench kernels` times cells beside the other ways to run them."""

import json

import pytest

from kernels.cell.spec import CellSpec
from kernels.cell.zoo import ZOO
from nas.bench.kernels import Setting, measure, sizes_of, table
from nas.core.errors import BadInput
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
