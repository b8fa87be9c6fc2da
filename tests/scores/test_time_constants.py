"""Time constants of processes whose time constants are known."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nas.core.score import ScoreFailed
from nas.core.task import Batch
from nas.scores.time_constants import TimeConstants, autocorrelation, time_constants


def leaky(decays: list[float], steps: int = 1500, sequences: int = 24) -> Tensor:
    """Return states h[t] = decay · h[t - 1] + noise of one unit per decay, `[B, T, H]`."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(steps, sequences, len(decays), generator=generator)
    decay, h, states = torch.tensor(decays), torch.zeros(sequences, len(decays)), []
    for x in noise:
        h = decay * h + x
        states.append(h)
    return torch.stack(states, dim=1)[:, 100:]


TAUS = [1.0, 3.0, 8.0, 20.0]
STATES = leaky([math.exp(-1 / tau) for tau in TAUS])


def test_the_time_constant_of_a_leaky_unit_is_found() -> None:
    found = time_constants(STATES)
    assert found == pytest.approx(TAUS, rel=0.2)


def test_the_slower_of_two_decays_is_found() -> None:
    mixed = STATES[..., :1] / STATES[..., :1].std() + STATES[..., 2:3] / STATES[..., 2:3].std()
    (found,) = time_constants(mixed)
    assert found == pytest.approx(8, rel=0.25)


def test_autocorrelation_agrees_with_a_loop() -> None:
    states = STATES[:3, :40, :2].double()
    found = autocorrelation(states, 4)
    for unit in range(2):
        sums = np.zeros(5)
        for sequence in states[..., unit].numpy():
            apart = sequence - sequence.mean()
            for k in range(5):
                products = [apart[t] * apart[t + k] for t in range(40 - k)]
                sums[k] += sum(products) / (40 - k)
        assert found[unit] == pytest.approx(sums / sums[0])


def test_units_that_never_change_are_left_out() -> None:
    still = torch.full_like(STATES[..., :1], 0.1)
    assert len(time_constants(torch.cat([still, STATES[..., 1:3], still], dim=-1))) == 2


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.RNN(2, 2, nonlinearity="relu", bias=False, batch_first=True) for _ in range(2)
        )
        for layer, decay in zip(self.layers, (0.0, 0.9), strict=True):
            with torch.no_grad():
                layer.weight_ih_l0.copy_(torch.eye(2))
                layer.weight_hh_l0.copy_(decay * torch.eye(2))

    def forward(self, x, state=None, lengths=None):
        for layer in self.layers:
            x = layer(x)[0]
        return x


def test_the_score_has_one_value_for_each_layer() -> None:
    x = torch.rand(16, 800, 2, generator=torch.Generator().manual_seed(0))
    found = TimeConstants()(Model(), Batch(x, torch.zeros(16)), torch.Generator())
    assert list(found) == ["time-constants-1", "time-constants-2"]
    assert found["time-constants-1"] < 0.5  # a ReLU of noise forgets at once
    assert found["time-constants-2"] == pytest.approx(-1 / math.log(0.9), rel=0.2)


def test_short_sequences_are_refused() -> None:
    with pytest.raises(ScoreFailed, match="sequences of 11 steps are too short: 12 are needed"):
        time_constants(STATES[:, :11])
