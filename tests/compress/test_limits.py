"""Rewards and losses, against numbers worked out by hand."""

import pytest
import torch

from compress.learning.distillation import distillation_loss
from compress.limits import Limits, limited_reward, reward


def test_the_reward_agrees_with_n2n() -> None:
    assert reward(cost=0.1, accuracy=1.0) == pytest.approx(0.99)
    assert reward(cost=1 - 0.9513, accuracy=1.0) == pytest.approx(0.9976, abs=1e-4)
    assert reward(cost=0.5, accuracy=0.9) == pytest.approx(0.75 * 0.9)


def test_a_broken_limit_is_worth_less_than_any_student_within_the_limits() -> None:
    limits = Limits({"milliseconds": 2.0, "bytes": 100.0}, accuracy=0.9)

    def worth(milliseconds: float, size: float, kept: float) -> float:
        costs = {"milliseconds": milliseconds, "bytes": size}
        return limited_reward(0.5, kept, limits, costs, kept)

    assert worth(2.0, 100.0, 0.95) == 0.95  # the limits say what is small enough
    assert worth(1.0, 10.0, 0.95) == 0.95
    broken = [worth(2.01, 1.0, 1.0), worth(2.5, 1.0, 1.0), worth(1.0, 200.0, 1.0)]
    assert 0 > broken[0] > broken[1] > broken[2] > -1
    assert worth(1.0, 1.0, 0.45) == pytest.approx(-1 / 3)  # half of the accuracy that it must keep
    assert limited_reward(0.5, 0.0, Limits(), {}, 0.0) == 0.0 > worth(2.01, 1.0, 1.0)


def test_without_limits_on_costs_the_reward_is_n2ns() -> None:
    limits = Limits(accuracy=0.9)
    assert limited_reward(0.5, 0.95, limits, {}, 0.95) == reward(0.5, 0.95)
    assert limited_reward(0.5, 0.5, limits, {}, 0.5) < 0
    assert limited_reward(0.5, 0.5, limits, {}, None) == reward(0.5, 0.5)  # not known yet


def test_equal_answers_cost_nothing_and_others_what_the_formula_says() -> None:
    teacher = torch.tensor([[1.0, 2.0], [0.0, -1.0]], dtype=torch.float64)
    assert distillation_loss(teacher, teacher, "mse", 4.0) == 0
    assert distillation_loss(teacher, teacher, "kl", 4.0).abs() < 1e-14
    assert distillation_loss(teacher + 1, teacher, "mse", 4.0) == 2
    student = torch.zeros(2, 2)
    p, q = torch.softmax(teacher / 3, 1), torch.softmax(student / 3, 1)
    expected = 9 * (p * (p / q).log()).sum(1).mean()
    torch.testing.assert_close(distillation_loss(student, teacher, "kl", 3.0), expected)
