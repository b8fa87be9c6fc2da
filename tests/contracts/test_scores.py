"""The contract of training-free scores, tested for every score in the registry."""

import math

import pytest
import torch
from torch import nn

from nas.core.registry import BUILT_IN, create
from nas.core.score import Score, ScoreFailed
from nas.core.task import Batch
from search_spaces.output import Output
from search_spaces.rnn_cell.recipe import read_recipe
from search_spaces.rnn_cell.space import RnnCellSpace
from search_spaces.rnn_cell.zoo import ZOO
from search_spaces.space import DataShape, ModelShape, ModelSize
from search_spaces.transformer.model import Encoder
from search_spaces.transformer.spec import MIXINGS, EncoderSpec, LayerSpec

SCORES = [create("scores", name) for name in BUILT_IN["scores"]]
MEASURED = {"latency"}  # differs from call to call
ANY_MODEL = {"gradient-norm", "parameters", "flops", "latency", "snip", "grasp"}
ENCODER = {
    "head-confidence",
    "softmax-confidence",
    "head-importance",
    "synaptic-diversity",
    "encoder-activation-distance",
    "layers",
}
EVERY_SCORE = pytest.mark.parametrize("score", SCORES, ids=lambda score: score.name)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def language_model(score: Score) -> tuple[nn.Module, Batch]:
    if score.name in ENCODER:
        return encoder(DataShape("tokens", 40, 40, True, masked=True)), text_batch()
    shape = ModelShape(DataShape("tokens", 40, 40, True), ModelSize(12, 16, 2))
    model = RnnCellSpace().build(read_recipe(ZOO["lstm"]), shape, generator()).eval()
    return model, text_batch()


def text_batch() -> Batch:
    tokens = torch.randint(40, (8, 31), generator=generator(1))
    return Batch(tokens[:, :-1], tokens[:, 1:])


def encoder(data: DataShape) -> nn.Module:
    """Return an encoder with one layer of each mixing."""
    layers = tuple(LayerSpec(mixing, MIXINGS[mixing][1], 2, 24, 1) for mixing in MIXINGS)
    shape = ModelShape(data, ModelSize(12))
    return Encoder(EncoderSpec(16, layers), shape, 32, generator()).eval()


def classifier(score: Score) -> tuple[nn.Module, Batch]:
    shape = ModelShape(DataShape("features", 3, 4, False), ModelSize(12, 16, 2))
    if score.name in ENCODER:
        model = encoder(shape.data)
    else:
        model = RnnCellSpace().build(read_recipe(ZOO["gru"]), shape, generator()).eval()
    inputs = torch.randn(8, 20, 3, generator=generator(1))
    lengths = torch.tensor([20, 3, 20, 20, 20, 7, 20, 20])
    return model, Batch(inputs, torch.arange(8) % 4, lengths)


class Averaged(nn.Module):
    """A model without recurrent layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(3, 8), nn.Linear(8, 4)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -0.5, 0.5, generator=generator())

    def forward(self, inputs, state=None, lengths=None) -> Output:
        answers = self.second(torch.tanh(self.first(inputs.mean(dim=1))))
        return Output(answers, None, answers.new_zeros(()))


@EVERY_SCORE
def test_it_is_a_score_with_its_registered_name(score) -> None:
    assert isinstance(score, Score)
    assert type(create("scores", score.name)) is type(score)


@EVERY_SCORE
@pytest.mark.parametrize("made", [language_model, classifier])
def test_its_values_are_finite_and_have_its_name(score, made) -> None:
    model, batch = made(score)
    values = score(model, batch, generator())
    assert values
    assert all(
        math.isfinite(value) and name.startswith(score.name) for name, value in values.items()
    )


@EVERY_SCORE
def test_the_same_generator_gives_the_same_values(score) -> None:
    if score.name in MEASURED:
        pytest.skip("measured")
    first, second = (score(*language_model(score), generator(3)) for _ in range(2))
    assert first == second


@EVERY_SCORE
def test_it_does_not_change_the_model(score) -> None:
    model, batch = language_model(score)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    attributes = [set(module.__dict__) for module in model.modules()]
    score(model, batch, generator())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(module.training for module in model.modules())
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    assert attributes == [set(module.__dict__) for module in model.modules()]
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert all(getattr(layer, "backend", "auto") == "auto" for layer in model.layers)  # type: ignore[union-attr]


@EVERY_SCORE
def test_it_does_not_use_global_randomness(score) -> None:
    model, batch = language_model(score)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    score(model, batch, generator())
    assert torch.equal(before, torch.get_rng_state())


@EVERY_SCORE
def test_it_gives_the_same_values_under_no_grad(score) -> None:
    if score.name in MEASURED:
        pytest.skip("measured")
    expected = score(*language_model(score), generator())
    with torch.no_grad():
        assert score(*language_model(score), generator()) == expected


@EVERY_SCORE
def test_a_model_without_recurrent_layers_is_scored_or_refused(score) -> None:
    inputs = torch.randn(8, 20, 3, generator=generator(1))
    batch = Batch(inputs, torch.arange(8) % 4)
    if score.name in ANY_MODEL:
        assert all(map(math.isfinite, score(Averaged().eval(), batch, generator()).values()))
    else:
        with pytest.raises(ScoreFailed, match=r"no (recurrent|encoder) layers"):
            score(Averaged().eval(), batch, generator())


@EVERY_SCORE
def test_weights_that_are_not_finite_never_give_a_score(score) -> None:
    if score.name in ("parameters", "flops", "latency", "layers"):
        pytest.skip("does not read the weights")
    model, batch = language_model(score)
    nn.init.constant_(next(model.layers.parameters()), float("nan"))  # type: ignore[union-attr]
    with pytest.raises(ScoreFailed):
        score(model, batch, generator())
