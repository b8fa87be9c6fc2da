"""Masks of whole channels give the answers of the network without these channels."""

import pytest
import torch
from torch import nn

from compress.pruning.channel_masks import channel_masks, channels_left
from compress.pruning.masks import apply_masks, counted_sparsity
from compress.structure.narrow import narrowed
from kernels.cell.zoo import ZOO
from nas.core.registry import create
from search_spaces.rnn_cell.recipe import read_recipe
from search_spaces.rnn_cell.space import RnnCellSpace
from search_spaces.space import DataShape, ModelShape, ModelSize

GENERATOR = torch.Generator().manual_seed(0)
SEQUENCES = torch.randn(2, 9, 3, generator=GENERATOR)
IMAGES = torch.randn(2, 3, 32, 32, generator=GENERATOR)
TOKENS = torch.arange(14).view(2, 7)


def cell(name: str) -> nn.Module:
    shape = ModelShape(DataShape("tokens", 20, 3, False), ModelSize(6, 9, 2))
    return RnnCellSpace().build(read_recipe(ZOO[name]), shape, torch.Generator().manual_seed(0))


CASES = {
    "resnet8": (lambda: create("models", "resnet8"), IMAGES),
    "lstm": (lambda: create("models", "lstm-classifier", {"channels": 3, "hidden": 7}), SEQUENCES),
    "cell": (lambda: cell("gru"), TOKENS),
    "other cell": (lambda: cell("mgu"), TOKENS),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("level", [0.3, 0.8, 1.0])
def test_the_masked_network_answers_like_the_smaller_one(case: str, level: float) -> None:
    make, inputs = CASES[case]
    torch.manual_seed(0)
    model = make().eval()
    graph, left = channels_left(model, inputs, level)
    apply_masks(model, channel_masks(model, graph, left))
    smaller = narrowed(model, graph, left)
    if inputs.is_floating_point():
        inputs = inputs.double()
    answers = [m.double()(inputs) for m in (model, smaller)]
    if not isinstance(answers[0], torch.Tensor):
        answers = [answer.answers for answer in answers]
    torch.testing.assert_close(*answers, atol=1e-12, rtol=1e-12)
    sizes = [sum(p.numel() for p in m.parameters()) for m in (model, smaller)]
    assert sizes[1] < sizes[0]
    assert counted_sparsity(model, "channels") > 0.3 * level


def test_removed_channels_stay_removed() -> None:
    model = create("models", "resnet8").eval()
    graph, before = channels_left(model, IMAGES, 0.25)
    apply_masks(model, channel_masks(model, graph, before))
    _, after = channels_left(model, IMAGES, 0.5)
    assert not (after & ~before).any() and after.sum() < before.sum()


def test_a_network_without_removable_channels_is_refused() -> None:
    with pytest.raises(ValueError, match="no channels"):
        channels_left(nn.Sequential(nn.Linear(3, 2)), torch.zeros(1, 3), 0.5)
