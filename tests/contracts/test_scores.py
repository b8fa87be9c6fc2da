"""Every training-free score keeps the contract; a score joins by its name in the registry."""

import math
from functools import partial

import pytest
import torch
from torch import nn

from kernels.cell.zoo import ZOO
from nas.core.registry import BUILT_IN, create
from nas.core.score import Score, ScoreFailed
from nas.core.task import Batch
from nas.testing import check_score
from nas.testing.score import Plain
from search_spaces.rnn_cell.recipe import read_recipe
from search_spaces.rnn_cell.space import RnnCellSpace
from search_spaces.sequence_mixer.space import SequenceMixerSpace
from search_spaces.sequence_mixer.spec import AttentionMixing, NetworkSpec
from search_spaces.sequence_mixer.zoo import STRIPES
from search_spaces.space import DataShape, ModelShape, ModelSize
from search_spaces.transformer.model import Encoder
from search_spaces.transformer.spec import MIXINGS, EncoderSpec, LayerSpec

SCORES = [create("scores", name) for name in BUILT_IN["scores"]]
MEASURED = {"latency"}  # seconds differ from call to call
READS_NO_VALUES = {"parameters", "flops", "latency", "layers", "encoder-size"}
ANY_MODEL = {"gradient-norm", "parameters", "flops", "latency", "snip", "grasp"}
ENCODER = {
    "head-confidence",
    "softmax-confidence",
    "head-importance",
    "synaptic-diversity",
    "encoder-activation-distance",
    "layers",
    "encoder-size",
}
READS_CELLS = {"predicted-loss", "activation-distance", "hidden-saliency", "synflow", "fisher"}
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


def hybrid() -> nn.Module:
    """Return a network of a recurrence, a memory and attention that predicts text."""
    stripe = (*STRIPES["gla"], *STRIPES["fsmn"], AttentionMixing(16, 2))
    shape = ModelShape(DataShape("tokens", 40, 40, True), ModelSize(hidden=16, layers=1))
    network = NetworkSpec(stripe).architecture()
    return SequenceMixerSpace().build(network, shape, generator()).eval()


def short_text() -> Batch:
    tokens = torch.randint(40, (6, 14), generator=generator(1))
    return Batch(tokens[:, :-1], tokens[:, 1:])


@pytest.mark.parametrize(
    "score", [s for s in SCORES if s.name not in ENCODER | READS_CELLS], ids=lambda s: s.name
)
def test_a_score_of_recurrent_layers_judges_mixers(score) -> None:
    check_score(
        score,
        hybrid,
        short_text(),
        measured=score.name in MEASURED,
        reads_values=score.name not in READS_NO_VALUES,
    )


@pytest.mark.parametrize("name", sorted(READS_CELLS))
def test_a_score_that_looks_into_cells_refuses_mixers(name) -> None:
    with pytest.raises(ScoreFailed, match="Block does not expose the values in its steps"):
        create("scores", name)(hybrid(), short_text(), generator())


@EVERY_SCORE
@pytest.mark.parametrize("made", [language_model, classifier])
def test_it_keeps_the_contract(score, made) -> None:
    check_score(
        score,
        lambda: made(score)[0],
        made(score)[1],
        measured=score.name in MEASURED,
        reads_values=score.name not in READS_NO_VALUES,
    )


@EVERY_SCORE
def test_it_is_a_score_by_its_registered_name(score) -> None:
    assert isinstance(score, Score)
    assert type(create("scores", score.name)) is type(score)


@EVERY_SCORE
def test_a_model_without_recurrent_layers_is_scored_or_refused(score) -> None:
    inputs = torch.randn(8, 20, 3, generator=generator(1))
    batch = Batch(inputs, torch.arange(8) % 4)
    model = Plain(batch).eval()
    if score.name in ANY_MODEL:
        assert all(map(math.isfinite, score(model, batch, generator()).values()))
    else:
        with pytest.raises(ScoreFailed, match=r"no (recurrent|encoder) layers"):
            score(model, batch, generator())


@EVERY_SCORE
def test_one_weight_that_is_not_finite_never_becomes_a_number(score) -> None:
    if score.name in READS_NO_VALUES:
        pytest.skip("looks at no value")
    model, batch = language_model(score)
    nn.init.constant_(next(model.layers.parameters()), float("nan"))  # type: ignore[union-attr]
    with pytest.raises(ScoreFailed):
        score(model, batch, generator())


class First:
    """A score that keeps the contract; `meddle` breaks it."""

    name = "first"
    higher_is_better = True

    def __init__(self, meddle=lambda model, generator: 0.0) -> None:
        self.meddle = meddle

    def __call__(self, model, batch, generator) -> dict[str, float]:
        value = float(next(model.parameters()).detach().sum())
        if not math.isfinite(value):
            raise ScoreFailed("the first weight is not finite")
        return {self.name: value + float(self.meddle(model, generator) or 0.0)}


class Misnamed(First):
    def __call__(self, model, batch, generator):
        return {"second": super().__call__(model, batch, generator)["first"]}


class Trusting(First):
    def __call__(self, model, batch, generator):
        return {self.name: float(next(model.parameters()).detach().nan_to_num().sum())}


class Recurrent(First):
    def __call__(self, model, batch, generator):
        return {self.name: len(model.layers) + super().__call__(model, batch, generator)["first"]}


def adds_to_the_weights(model, _) -> None:
    with torch.no_grad():
        next(model.parameters()).add_(1)


def keeps_gradients(model, _) -> None:
    with torch.enable_grad():
        sum(p.sum() for p in model.parameters()).backward()


def needs_gradients(model, _) -> None:
    sum(p.sum() for p in model.parameters()).backward()
    model.zero_grad()


def hooks(model, _) -> None:
    model.register_forward_hook(print)


BROKEN = [
    (object(), "object has no name, higher_is_better, __call__: a score needs"),
    (Misnamed(), r'names begin with "first"'),
    (First(lambda *_: math.inf), "return finite numbers"),
    (First(lambda *_: torch.rand(()) - torch.rand(())), "for the same model and generator"),
    (First(lambda *_: torch.rand(()) * 0), "global random state"),
    (First(lambda *_: torch.is_grad_enabled()), r"but .* under torch\.no_grad\(\)"),
    (First(needs_gradients), "raises RuntimeError: element 0 of tensors does not require grad"),
    (First(adds_to_the_weights), "changes the model's weights"),
    (
        First(keeps_gradients),
        "a trace in the model: grad is None of decoder_bias is now",
    ),
    (
        First(lambda model, _: model.train() and 0.0),
        "training of the model is now True",
    ),
    (First(hooks), "hooks of the model is now 1"),
    (Recurrent(), "raises AttributeError for a model of linear layers: .* raise ScoreFailed"),
    (Trusting(), "for weights that are NaN: raise ScoreFailed"),
]


@pytest.mark.parametrize(("score", "words"), BROKEN)
def test_what_is_broken_is_caught(score, words: str) -> None:
    made = partial(language_model, First())
    with pytest.raises(AssertionError, match=words):
        check_score(score, lambda: made()[0], made()[1])


def test_what_is_not_broken_passes() -> None:
    check_score(First(), lambda: language_model(First())[0], text_batch())
