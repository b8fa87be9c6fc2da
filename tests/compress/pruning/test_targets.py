"""The prunable tensors of each kind of module, and how gates divide them."""

import pytest
import torch
from torch import nn

from compress.pruning.targets import Target, is_recurrent, targets_of
from kernels.cell.layer import CompiledRNN
from kernels.cell.spec import CellSpec
from kernels.cell.zoo import ZOO
from nas.models.cifar_resnet import resnet8
from search_spaces.rnn_cell.model import build_model
from search_spaces.space import DataShape, ModelShape, ModelSize

GATES = {  # input-to-hidden, hidden-to-hidden
    "rnn-tanh": (1, 1),
    "lstm": (4, 4),
    "gru": (3, 3),
    "mgu": (2, 2),
    "rhn": (2, 4),
}


@pytest.mark.parametrize("cell", GATES)
def test_a_cell_has_one_block_per_gate(cell: str) -> None:
    rnn = nn.Sequential(CompiledRNN(CellSpec.from_recipe(ZOO[cell]), 3, 4, backend="reference"))
    i2h, h2h = GATES[cell]
    assert targets_of(rnn, "both") == (
        Target("0.on_x", "i2h", i2h),
        Target("0.on_h", "h2h", h2h),
    )


@pytest.mark.parametrize(
    ("module", "gates"),
    [
        (nn.LSTM(3, 4, num_layers=2, bidirectional=True), 4),
        (nn.GRU(3, 4), 3),
        (nn.RNN(3, 4), 1),
        (nn.LSTMCell(3, 4), 4),
        (nn.GRUCell(3, 4), 3),
    ],
)
def test_the_gates_of_torchs_layers_are_blocks_of_rows(module: nn.Module, gates: int) -> None:
    found = {target.parameter: target for target in targets_of(module, "both")}
    matrices = {n: p for n, p in module.named_parameters() if n.startswith("weight")}
    assert found.keys() == matrices.keys()
    for name, matrix in matrices.items():
        assert found[name].kind == ("i2h" if "_ih" in name else "h2h")
        assert found[name].gates == gates and len(matrix) == 4 * gates


def test_weights_are_all_matrices_except_embeddings_biases_and_normalisation() -> None:
    shape = ModelShape(
        DataShape("tokens", 9, 2, every_step=False), ModelSize(embedding=3, hidden=4, layers=2)
    )
    model = build_model(CellSpec.from_recipe(ZOO["gru"]), shape, torch.Generator())
    names = [f"layers.{i}.on_{kind}" for i in (0, 1) for kind in "xh"]
    assert [t.parameter for t in targets_of(model, "weights")] == [*names, "head.weight"]
    found = [target.parameter for target in targets_of(resnet8(), "weights")]
    assert len(found) == 8 and all("conv" in name or "linear" in name for name in found)


def test_a_shared_matrix_is_one_target() -> None:
    linear = nn.Linear(3, 3)
    assert len(targets_of(nn.Sequential(linear, nn.ReLU(), linear), "weights")) == 1


def test_a_missing_target_is_refused_with_the_ones_that_exist() -> None:
    assert not is_recurrent(resnet8())
    with pytest.raises(ValueError, match="no h2h tensors: choose weights"):
        targets_of(resnet8(), "h2h")
    with pytest.raises(ValueError, match='unknown target "gates"'):
        targets_of(resnet8(), "gates")
