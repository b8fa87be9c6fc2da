"""What is written of a small network runs where this project cannot be imported."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from compress.structure.student import student
from kernels.cell.zoo import ZOO
from nas.core.task import Batch
from nas.models.any_length import RECURRENT, shapes_by_rule
from nas.models.changes import changes_between, tensors_of_smaller, with_changes
from nas.models.exported_programs import write_programs
from nas.models.file_checks import Written
from nas.models.inputs import Inputs
from nas.models.model_files import describe, load_model, write_model
from nas.models.narrowed_files import network_of, write_narrowed
from nas.models.source import ModelSource, weights_of
from nas.models.space import FOUND_AS, NamedModels
from search_spaces.architecture import Architecture
from search_spaces.rnn_cell.recipe import read_recipe
from search_spaces.rnn_cell.space import RnnCellSpace
from search_spaces.space import DataShape, ModelShape, ModelSize
from tests.models.own_networks import Pair

ANY = "any number of sequences of any length"
FILES = ("model.pt2", "model.onnx", "model.py")


def source_of(name: str, kind: Any) -> ModelSource:
    shape = ModelShape(DataShape(kind, 3, 5, False, 8, 8))
    architecture = Architecture(NamedModels.name, (f"tests.models.own_networks:{name}",))
    source = ModelSource(name, FOUND_AS, architecture, shape)
    return replace(source, weights=weights_of(source.build(1)))


def write(
    name: str, kind: Any, given: Tensor, removed: tuple[str, ...], widths: dict, folder: Path
) -> tuple[Written, nn.Module]:
    source = source_of(name, kind)
    small = network_of(source.build(0)).eval()
    if removed or widths:
        small = student(small, given[:1], removed, widths)
    described = describe(source.architecture, source.space, source.shape, {})
    return write_narrowed(small, source, described, given, folder), small.eval()


LOADED = """
import sys, torch
sys.path.append(sys.argv[1])
from model import load
network = load()
torch.save([network(torch.linspace(-1, 1, 2 * 192).view(2, 3, 8, 8)), network.stem.out_channels,
    sum(parameter.numel() for parameter in network.parameters())], "told.pt")
assert not any(name.split(".")[0] in ("nas", "compress", "kernels") for name in sys.modules)
"""


def test_a_class_of_the_user_is_built_small_by_a_file_beside_the_weights(tmp_path: Path) -> None:
    images = torch.randn(3, 3, 8, 8)
    written, small = write("Pictures", "images", images, ("blocks.1",), {"stem": 9}, tmp_path)
    assert written.takes == dict.fromkeys(FILES, "any number of inputs") and not written.failed
    root = str(Path(__file__).parents[2])
    subprocess.run([sys.executable, "-c", LOADED, root], cwd=tmp_path, check=True)
    answers, channels, parameters = torch.load(tmp_path / "told.pt", weights_only=False)
    with torch.no_grad():
        expected = small(torch.linspace(-1, 1, 2 * 192).view(2, 3, 8, 8))
    torch.testing.assert_close(answers.detach(), expected)
    assert channels == 9 and parameters == sum(p.numel() for p in small.parameters())
    torch.testing.assert_close(network_of(load_model(tmp_path))(images), small(images))


def test_an_lstm_without_a_layer_takes_any_batch_and_length(tmp_path: Path) -> None:
    given = torch.randn(3, 12, 3)
    written, _ = write("Reader", "features", given, ("lstm:1",), {"lstm": 7}, tmp_path)
    assert written.takes == dict.fromkeys(FILES, ANY) and not written.failed
    told = json.loads((tmp_path / "architecture.json").read_text())
    assert told["takes"] == written.takes and told["failed"] == {}


def test_a_length_that_the_network_fixes_is_said(tmp_path: Path) -> None:
    written, _ = write("Flat", "features", torch.randn(3, 10, 3), (), {}, tmp_path)
    assert set(written.takes.values()) == {"any number of sequences of 10 steps only"}


def test_an_export_that_fails_costs_its_file_and_a_line(tmp_path: Path, capsys: Any) -> None:
    written, small = write("Packed", "images", torch.randn(3, 3, 8, 8), ("lstm:1",), {}, tmp_path)
    assert written.takes.keys() == {"model.py"} and "model.pt2" in written.failed
    assert not (tmp_path / "model.pt2").exists() and not (tmp_path / "model.onnx").exists()
    assert str(tmp_path / "model.pt2") in capsys.readouterr().err
    images = torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(network_of(load_model(tmp_path))(images), small(images))


def test_two_inputs_by_name_and_two_answers(tmp_path: Path) -> None:
    inputs = Inputs.of({"text": torch.randint(9, (3, 8)), "writer": torch.randn(3, 3)}, steps=True)
    written = write_programs(Pair(), inputs, tmp_path)
    assert written.takes == {"model.pt2": ANY, "model.onnx": ANY}


def test_a_searched_cell_is_exported_as_a_loop_of_any_length(tmp_path: Path) -> None:
    shape = ModelShape(DataShape("features", 3, 5, False), ModelSize(4, 6, 1))
    architecture = read_recipe(ZOO["gru"])
    model = RnnCellSpace().build(architecture, shape, torch.Generator())
    batch = Batch(torch.randn(3, 9, 3), torch.zeros(3))
    facts = write_model(model, architecture, "rnn-cell", shape, batch, tmp_path)
    assert facts["takes"] == {"model.pt2": ANY, "model.onnx": ANY}
    assert b"Scan" in (tmp_path / "model.onnx").read_bytes()


def test_a_file_that_answers_differently_is_left_out(tmp_path: Path) -> None:
    inputs = Inputs.of(torch.randn(3, 3, 8, 8), steps=False)

    def wrong() -> list[str]:
        (tmp_path / "model.py").write_text(
            "def load():\n    return lambda x: x.mean((2, 3))[:, :2]"
        )
        (tmp_path / "other.py").write_text("def load():\n    import nas.api")
        return ["model.py", "other.py"]

    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 2))
    written = write_programs(network, inputs, tmp_path, wrong)
    assert "answers differently: off by" in written.failed["model.py"]
    assert "nas is imported" in written.failed["other.py"]
    assert not (tmp_path / "model.py").exists() and "model.pt2" in written.takes


def test_changes_keep_tied_weights_tied_and_buffers_that_are_not_saved() -> None:
    class Tied(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.inner, self.outer = nn.Embedding(5, width), nn.Linear(width, 5, bias=False)
            self.outer.weight = self.inner.weight
            self.register_buffer("places", torch.arange(width), persistent=False)

    original, small = Tied(6), Tied(4)
    made = with_changes(
        original, changes_between(original, small), tensors_of_smaller(original, small)
    )
    assert made.outer.weight is made.inner.weight and made.inner.embedding_dim == 4
    assert torch.equal(made.inner.weight, small.inner.weight) and len(made.places) == 4


def test_pytorch_is_left_as_it_was() -> None:
    from torch._decomp import decomposition_table

    operator = torch.ops.aten.lstm.input
    before = decomposition_table[operator], dict(operator.py_kernels)
    with pytest.raises(KeyError), shapes_by_rule(RECURRENT):
        assert decomposition_table[operator] is not before[0]
        raise KeyError
    assert (decomposition_table[operator], dict(operator.py_kernels)) == before
