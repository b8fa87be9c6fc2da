"""Int8 copies of exported networks: small, close to float32, and refused with a reason."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nas.core.errors import BadInput
from nas.core.task import Batch
from nas.models import eight_bits
from nas.models.eight_bits import FLOAT32, INT8, add_int8, metric_of, program
from nas.models.exported_programs import write_programs
from nas.models.inputs import Inputs
from nas.models.int8_graph import LARGEST, rounded
from nas.tasks.classification import Classification, Examples
from search_spaces.space import DataShape

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


class Convolutions(nn.Module):
    """Two convolutions, one of them depthwise, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.wide = nn.Conv2d(3, 64, 3, padding=1)
        self.deep = nn.Conv2d(64, 64, 3, padding=1, groups=64)
        self.point = nn.Conv2d(64, 128, 1)
        self.head = nn.Linear(128, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.point(self.deep(self.wide(x)).relu()).relu().mean((2, 3)))


class Recurrent(nn.Module):
    def __init__(self, recurrent: nn.LSTM | nn.GRU) -> None:
        super().__init__()
        self.recurrent, self.head = recurrent, nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.recurrent(x)[0][:, -1])


NETWORKS = {
    "linear": (lambda: nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 10)), (64,)),
    "convolutions": (Convolutions, (3, 8, 8)),
    "lstm": (lambda: Recurrent(nn.LSTM(32, 64, batch_first=True)), (6, 32)),
    "gru": (lambda: Recurrent(nn.GRU(32, 64, batch_first=True)), (6, 32)),
}
COMPUTED = {  # the operators that compute in int8; all other weights are only stored in it
    "linear": {"MatMulInteger"},
    "convolutions": {"MatMulInteger", "Conv"},
    "lstm": {"MatMulInteger", "DynamicQuantizeLSTM"},
    "gru": {"MatMulInteger", "GRU"},
}


@pytest.fixture(scope="module", params=NETWORKS)
def exported(request, tmp_path_factory) -> tuple[str, Path, Tensor]:
    make, shape = NETWORKS[request.param]
    torch.manual_seed(0)
    inputs, folder = torch.randn(64, *shape), tmp_path_factory.mktemp(request.param)
    write_programs(make(), Inputs.of(inputs[:1], False), folder)
    return request.param, folder, inputs


def test_an_int8_copy_is_smaller_and_answers_nearly_alike(exported) -> None:
    name, folder, inputs = exported
    found = add_int8(folder, inputs, classes=True)
    assert found.largest_difference < 0.03
    assert found.agreement is not None and found.agreement > 0.9
    assert found.bytes == (folder / INT8).stat().st_size
    assert found.float32_bytes > 3 * found.bytes
    assert found.milliseconds > 0 and found.float32_milliseconds > 0
    graph = onnx.load(folder / INT8).graph
    weighty = {"MatMul", "MatMulInteger", "Gemm", "Conv", "LSTM", "DynamicQuantizeLSTM", "GRU"}
    assert {node.op_type for node in graph.node} & weighty == COMPUTED[name]
    wide = [t.name for t in graph.initializer if t.data_type == 1 and np.prod(t.dims) > 600]
    assert wide == []
    assert not any(node.metadata_props for node in graph.node)


def test_outputs_that_are_no_classes_have_no_agreement(tmp_path: Path) -> None:
    write_programs(nn.Linear(64, 64), Inputs.of(torch.randn(1, 64), False), tmp_path)
    assert add_int8(tmp_path, torch.randn(4, 64), classes=False).agreement is None


@pytest.mark.parametrize("axes", [1, 2])
def test_every_row_is_rounded_with_its_own_scale(axes: int) -> None:
    weights = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)
    weights[1] = 0
    weights[2] *= 1000
    values, scales = rounded(weights, axes)
    assert values.dtype == np.int8 and scales.shape == (3, 4, 1)[:axes] + (1,) * (3 - axes)
    assert np.all(np.abs(values * scales - weights) <= scales / 2 * 1.001)
    assert np.abs(values[[0, 2]].reshape(2, -1)).max(axis=1).tolist() == [LARGEST, LARGEST]


def sequences(lengths: list[int] | None, steps: int = 6) -> tuple[Classification, Batch]:
    """A task, and a batch of sequences that are padded with large numbers."""
    inputs = torch.randn(3, steps, 32)
    for i, length in enumerate(lengths or []):
        inputs[i, length:] = 1e6
    given = None if lengths is None else torch.tensor(lengths)
    batch = Batch(inputs, torch.tensor([0, 1, 2]), given)
    examples = Examples(inputs.numpy(), batch.targets.numpy())
    shape = DataShape("features", 32, 10, False)
    return Classification("toy", shape, examples, examples, examples, 3), batch


class MeanOverSteps(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).mean(dim=1)


def test_the_metric_is_that_of_the_program_on_sequences_of_any_length(tmp_path: Path) -> None:
    network = MeanOverSteps(32, 10)
    shapes = ({0: torch.export.Dim("batch"), 1: torch.export.Dim("steps")},)
    example = (torch.randn(2, 5, 32),)
    with torch.no_grad():
        exported = torch.export.export(network, example, dynamic_shapes=shapes, strict=False)
        file = tmp_path / FLOAT32
        torch.onnx.export(exported, dynamo=True, verbose=False).save(file)  # type: ignore[union-attr]
        task, batch = sequences([2, 6, 4])
        alone = [network(batch.inputs[i : i + 1, :n]) for i, n in enumerate((2, 6, 4))]
    right = torch.cat(alone).argmax(-1)
    assert metric_of(file, task, [batch._replace(targets=right)]) == 1
    wrong = torch.stack([right[0], (right[1] + 1) % 10, right[2]])
    assert metric_of(file, task, [batch._replace(targets=wrong)]) == pytest.approx(2 / 3)


def test_a_program_of_one_length_has_no_metric_on_others(tmp_path: Path) -> None:
    one_length = Inputs.of(torch.randn(1, 6, 32), False)
    write_programs(Recurrent(nn.LSTM(32, 64, batch_first=True)), one_length, tmp_path)
    task, batch = sequences(None)
    expected = program(tmp_path / FLOAT32)(batch.inputs).argmax(-1)
    assert metric_of(tmp_path / FLOAT32, task, [batch._replace(targets=expected)]) == 1
    task, batch = sequences([2, 6, 4])
    assert metric_of(tmp_path / FLOAT32, task, [batch]) is None


def test_what_cannot_be_had_in_int8_is_refused(tmp_path: Path, monkeypatch) -> None:
    with pytest.raises(BadInput, match=r"has no model\.onnx, which int8 is made from"):
        add_int8(tmp_path, torch.zeros(1, 2), classes=True)
    monkeypatch.setattr(eight_bits, "NEEDED", ("onnx", "not_there"))
    with pytest.raises(BadInput, match=r'needs not_there: pip install "\.\[onnx\]"'):
        add_int8(tmp_path, torch.zeros(1, 2), classes=True)
    assert not list(tmp_path.iterdir())
