"""What the networks around a cell drop, share and refuse."""

import pytest
import torch
from torch import nn

from kernels.cell.spec import CellSpec
from kernels.cell.zoo import ZOO
from search_spaces.rnn_cell.model import RnnLanguageModel, build_model, locked_dropout
from search_spaces.space import DataShape, ModelShape, ModelSize

TOKENS = DataShape("tokens", 11, 11, every_step=True)


def build(data: DataShape = TOKENS, **sizes) -> nn.Module:
    shape = ModelShape(data, ModelSize(embedding=6, hidden=8, **sizes))
    cell = CellSpec.from_recipe(ZOO["gru"])
    return build_model(cell, shape, torch.Generator().manual_seed(0))


def test_locked_dropout_has_one_mask_for_all_steps_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    dropped = locked_dropout(torch.ones(40, 5, 50), 0.4, training=True)
    assert (dropped == dropped[:, :1]).all()
    assert len(set(dropped.unique().tolist())) == 2
    assert float(dropped.mean()) == pytest.approx(1, abs=0.06)


def test_locked_dropout_does_not_affect_evaluation() -> None:
    x = torch.randn(2, 3, 4)
    assert locked_dropout(x, 0.5, training=False) is x


@pytest.mark.parametrize("share", ["dropout", "hidden_dropout", "input_dropout", "weight_drop"])
def test_each_share_affects_training_but_not_evaluation(share: str) -> None:
    plain, model = build(), build(**{share: 0.5})
    tokens = torch.arange(10).reshape(2, 5)
    torch.manual_seed(0)
    assert not torch.equal(model.train()(tokens).answers, model(tokens).answers)
    assert torch.equal(model.eval()(tokens).answers, plain.eval()(tokens).answers)


def test_embedding_dropout_drops_all_occurrences_of_a_word() -> None:
    torch.manual_seed(0)
    model = build(embedding_dropout=0.5).train()
    entered: list[torch.Tensor] = []
    model.layers[0].register_forward_pre_hook(lambda _, inputs: entered.append(inputs[0]))
    tokens = torch.arange(11).repeat(1, 2)
    model(tokens)
    (x,) = entered
    gone = (x == 0).all(dim=2)[0]
    assert 0 < gone.sum() < 22
    assert torch.equal(gone[:11], gone[11:])
    kept = ~gone
    torch.testing.assert_close(x[0, kept], 2 * model.embedding.weight[tokens[0, kept]])


def test_the_decoder_is_the_embedding() -> None:
    model = build().eval()
    before = model(torch.tensor([[1, 2]])).answers
    with torch.no_grad():
        model.embedding.weight[7] = 0
        model.decoder_bias[7] = 3
    after = model(torch.tensor([[1, 2]])).answers
    assert (after[..., 7] == 3).all()
    others = [i for i in range(11) if i != 7]
    assert torch.equal(after[..., others], before[..., others])
    assert {name for name, _ in model.named_parameters() if "layers" not in name} == {
        "embedding.weight",
        "decoder_bias",
    }


@pytest.mark.parametrize(
    "data",
    [
        DataShape("features", 11, 11, every_step=True),
        DataShape("tokens", 11, 12, every_step=True),
    ],
)
def test_a_language_model_of_other_data_is_refused(data: DataShape) -> None:
    with pytest.raises(ValueError, match="predicts one of its input tokens per step"):
        build(data)


def test_layers_have_the_hidden_size_and_the_last_the_embedding_size() -> None:
    model = build(layers=3)
    assert isinstance(model, RnnLanguageModel)
    assert [(r.input_size, r.hidden_size) for r in model.layers] == [(6, 8), (8, 8), (8, 6)]
