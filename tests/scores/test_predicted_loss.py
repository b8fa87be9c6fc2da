"""The predicted loss: its fit, and its predictions for cells that are known to differ."""

from pathlib import Path

import pytest
import torch

from kernels.cell.zoo import ZOO
from nas.core.errors import BadInput
from nas.core.registry import create
from nas.core.score import ScoreFailed
from nas.core.task import Batch
from nas.scores.predicted_loss import PredictedLoss, fit
from search_spaces.rnn_cell.recipe import read_recipe
from search_spaces.rnn_cell.space import RnnCellSpace
from search_spaces.space import DataShape, ModelShape, ModelSize

TOKENS = torch.randint(40, (16, 71), generator=torch.Generator().manual_seed(1))
BATCH = Batch(TOKENS[:, :-1], TOKENS[:, 1:])


def model(cell: str | dict) -> torch.nn.Module:
    shape = ModelShape(DataShape("tokens", 40, 40, True), ModelSize(24, 32, 3))
    recipe = ZOO[cell] if isinstance(cell, str) else cell
    return RnnCellSpace().build(read_recipe(recipe), shape, torch.Generator().manual_seed(0)).eval()


def test_the_shipped_fit_prefers_an_lstm_to_a_cell_that_squashes_three_times() -> None:
    squashed = {
        "a": {"op": "linear", "input": ["x", "h_prev_0"]},
        "b": {"op": "activation_sigm", "input": ["a"]},
        "c": {"op": "linear", "input": ["b", "h_prev_0"]},
        "d": {"op": "activation_sigm", "input": ["c"]},
        "e": {"op": "linear", "input": ["d", "h_prev_0"]},
        "h_new_0": {"op": "activation_sigm", "input": ["e"]},
    }
    score = PredictedLoss()
    lstm, other = (
        score(model(cell), BATCH, torch.Generator())["predicted-loss"]
        for cell in ("lstm", squashed)
    )
    assert 4 < lstm < other < 7


def test_your_own_fit_is_read(tmp_path: Path) -> None:
    features = [PredictedLoss.features(model(cell), BATCH, torch.Generator()) for cell in ZOO]
    fit(features, [2.0] * len(features)).write(tmp_path / "mine.json", {})
    score = create("scores", "predicted-loss", {"fit": str(tmp_path / "mine.json")})
    assert score(model("gru"), BATCH, torch.Generator()) == {"predicted-loss": pytest.approx(2)}


def test_a_fit_of_other_features_fails_with_a_reason(tmp_path: Path) -> None:
    fit([{"moon": 1.0}, {"moon": 2.0}], [2.0, 3.0]).write(tmp_path / "other.json", {})
    with pytest.raises(ScoreFailed, match="moon"):
        PredictedLoss(str(tmp_path / "other.json"))(model("gru"), BATCH, torch.Generator())


def test_a_missing_fit_is_bad_input() -> None:
    with pytest.raises(BadInput, match="nowhere"):
        create("scores", "predicted-loss", {"fit": "nowhere.json"})
