"""Training in rungs: the learning rate falls over all of them."""

import numpy as np
import pytest
import torch

from nas.core.settings import read_config
from nas.jobs.search.config import SearchConfig
from nas.jobs.search.setup import search_job
from nas.tasks.reber import load_reber
from nas.training import TrainingSettings, train_rung
from search_spaces import genome
from search_spaces.rnn_cell.space import RnnCellSpace
from search_spaces.space import ModelShape, ModelSize


def network() -> torch.nn.Module:
    task, space = load_reber(strings=60), RnnCellSpace()
    architecture, _ = genome.sample(space, np.random.default_rng(0))
    shape = ModelShape(task.shape, ModelSize(4, 6, 1))
    return space.build(architecture, shape, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("cools_until", [0, 6])
def test_rungs_go_on_where_the_last_one_ended(cools_until: int) -> None:
    task = load_reber(strings=60)
    settings = TrainingSettings(device="cpu", cools_until=cools_until)
    whole = train_rung(network(), task, settings, 1, 6)
    half = train_rung(network(), task, settings, 1, 3)
    both = train_rung(network(), task, settings, 1, 6, half.checkpoint)
    assert both.objective == pytest.approx(whole.objective, rel=1e-6)


def test_the_rate_falls_in_a_straight_line_to_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    rates, step = [], torch.optim.Adam.step

    def noted(self: torch.optim.Adam) -> None:
        rates.append(self.param_groups[0]["lr"])
        step(self)

    monkeypatch.setattr(torch.optim.Adam, "step", noted)
    settings = TrainingSettings(learning_rate=0.1, device="cpu", cools_until=4)
    train_rung(network(), load_reber(strings=60), settings, 1, 4)
    assert rates == pytest.approx([0.1, 0.075, 0.05, 0.025])


def test_a_search_cools_until_its_last_step() -> None:
    given = {"task.name": "reber", "training.steps": 40}
    for cooling, until in ((False, 0), (True, 40)):
        config = read_config(SearchConfig, None, (), {**given, "training.cooling": cooling})
        assert search_job(config).training.cools_until == until
