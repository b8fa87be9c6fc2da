"""Fading memory, on cells that forget at a known rate."""

import math

import pytest
import torch
from torch import nn

from nas.core.score import ScoreFailed
from nas.core.task import Batch
from nas.scores.fading_memory import FadingMemory
from nas.scores.influence import influences


class Leaky(nn.RNN):
    """h[t] = decay · h[t-1] + x[t], as an `nn.RNN` of one unit whose ReLU never clips."""

    def __init__(self, decay: float) -> None:
        super().__init__(1, 1, nonlinearity="relu", bias=False, batch_first=True)
        nn.init.ones_(self.get_parameter("weight_ih_l0"))
        nn.init.constant_(self.get_parameter("weight_hh_l0"), decay)


class Model(nn.Module):
    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x, state=None, lengths=None):
        for layer in self.layers:
            x = layer(x)[0]
        return x


def batch(steps: int = 80, sequences: int = 4000) -> Batch:
    x = torch.rand(sequences, steps, 1, generator=torch.Generator().manual_seed(0))
    return Batch(x, torch.zeros(sequences, dtype=torch.long))


def test_shares_of_a_leaky_sum_are_powers_of_its_decay() -> None:
    """Var h = σ² / (1 - a²), and the input k steps ago adds a^2k σ²."""
    _, (shares,) = influences(Model(Leaky(0.8)), batch())
    expected = torch.tensor([(1 - 0.64) * 0.64**k for k in range(6)], dtype=torch.float64)
    torch.testing.assert_close(shares[:6], expected, rtol=0.1, atol=0)
    assert len(shares) == 33


def test_the_score_is_the_ratio_of_the_last_step_to_the_farthest() -> None:
    value = FadingMemory()(Model(Leaky(0.8)), batch(), torch.Generator())["fading-memory"]
    near, far = 0.36 * 0.64, 0.36 * 0.64**32
    assert value == pytest.approx(math.log((near + 1e-6) / (far + 1e-6)), abs=0.1)


def test_cells_that_do_not_forget_or_do_not_pass_on_inputs_score_worse() -> None:
    values = [
        FadingMemory()(Model(Leaky(decay)), batch(), torch.Generator())["fading-memory"]
        for decay in (0.0, 0.5, 0.999)
    ]
    assert values[1] > max(values[0], values[2])


def test_time_first_layers_have_the_same_score() -> None:
    model, data = Model(Leaky(0.5)), batch(20)
    _, (expected,) = influences(model, data)
    model.layers[0].batch_first = False  # type: ignore[assignment]
    turned = Batch(data.inputs.transpose(0, 1), data.targets)
    torch.testing.assert_close(influences(model, turned)[1][0], expected)


def test_sequences_shorter_than_the_median_are_left_out() -> None:
    data = batch(20, 40)
    lengths = torch.full((40,), 20)
    lengths[:10] = 3
    _, (shares,) = influences(Model(Leaky(0.5)), data._replace(lengths=lengths))
    _, (expected,) = influences(Model(Leaky(0.5)), Batch(data.inputs[10:], data.targets[10:]))
    torch.testing.assert_close(shares, expected)


@pytest.mark.parametrize(
    ("model", "steps", "reason"),
    [
        (Model(Leaky(0.5)), 3, "sequences of 3 steps are too short"),
        (Model(Leaky(100.0)), 80, "not finite"),
        (Model(Leaky(0.5), nn.RNN(1, 2, batch_first=True)), 20, "layer 2 has the same states"),
    ],
)
def test_failures_have_a_reason(model: Model, steps: int, reason: str) -> None:
    if len(model.layers) == 2:
        for weight in model.layers[1].parameters():
            nn.init.zeros_(weight)
    with pytest.raises(ScoreFailed, match=reason):
        FadingMemory()(model, batch(steps, 8), torch.Generator())
