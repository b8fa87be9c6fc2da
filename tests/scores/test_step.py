"""What a step carries and takes."""

import itertools

import pytest
import torch

from kernels.cell.zoo import ZOO
from nas.core.score import ScoreFailed
from nas.scores.step import CALLS, state_bytes, step_latency
from search_spaces.rnn_cell.recipe import read_recipe
from search_spaces.rnn_cell.space import RnnCellSpace
from search_spaces.space import DataShape, ModelShape, ModelSize
from search_spaces.transformer.model import Encoder
from search_spaces.transformer.spec import EncoderSpec, LayerSpec

CLASSES = ModelShape(DataShape("features", 3, 4, False), ModelSize(hidden=16, layers=2))
INPUTS = torch.zeros(5, 7, 3)


def lstm() -> torch.nn.Module:
    architecture = read_recipe(ZOO["lstm"])
    return RnnCellSpace().build(architecture, CLASSES, torch.Generator().manual_seed(0)).eval()


def test_two_layers_of_an_lstm_carry_h_and_c():
    assert state_bytes(lstm(), INPUTS) == 2 * 2 * 16 * 4


def test_latency_is_the_median_of_bursts_without_the_first():
    ticks = itertools.accumulate([0, 9, 0, 1, 0, 3, 0, 2, 0, 8, 0, 4])  # 9 s warm-up, then 1 to 8
    found = step_latency(lstm(), INPUTS, clock=lambda: next(ticks))
    assert found == pytest.approx(3 / CALLS)


def test_a_model_without_a_step_and_images_are_refused():
    layer = LayerSpec("self-attention", "scaled-dot-product", 2, 24, 1)
    encoder = Encoder(EncoderSpec(16, (layer,)), CLASSES, 32, torch.Generator().manual_seed(0))
    with pytest.raises(ScoreFailed, match="carries no state from step to step"):
        state_bytes(encoder.eval(), INPUTS)
    with pytest.raises(ScoreFailed, match="tokens or features, not images"):
        step_latency(lstm(), torch.zeros(5, 1, 8, 3))
