"""Rewards and losses, against numbers worked out by hand."""

import pytest
import torch

from compress.learning.distillation import distillation_loss
from compress.reward import Constraint, constrained_reward, reward


def test_the_reward_agrees_with_n2n() -> None:
    assert reward(cost=0.1, accuracy=1.0) == pytest.approx(0.99)
    assert reward(cost=1 - 0.9513, accuracy=1.0) == pytest.approx(0.9976, abs=1e-4)
    assert reward(cost=0.5, accuracy=0.9) == pytest.approx(0.75 * 0.9)


def test_a_violated_constraint_costs_little_at_first_and_fully_after_fifteen_updates() -> None:
    half = Constraint(cost=0.25, accuracy=0.95)
    values = [constrained_reward(0.5, 1.0, half, update) for update in range(17)]
    assert values[0] == reward(0.5, 1.0)
    assert values == sorted(values, reverse=True)
    assert values[15] == values[16] == -1
    assert constrained_reward(0.2, 0.9, half, 20) == -1
    assert constrained_reward(0.2, 0.96, half, 20) == reward(0.2, 0.96)


def test_equal_answers_cost_nothing_and_others_what_the_formula_says() -> None:
    teacher = torch.tensor([[1.0, 2.0], [0.0, -1.0]], dtype=torch.float64)
    assert distillation_loss(teacher, teacher, "mse", 4.0) == 0
    assert distillation_loss(teacher, teacher, "kl", 4.0).abs() < 1e-14
    assert distillation_loss(teacher + 1, teacher, "mse", 4.0) == 2
    student = torch.zeros(2, 2)
    p, q = torch.softmax(teacher / 3, 1), torch.softmax(student / 3, 1)
    expected = 9 * (p * (p / q).log()).sum(1).mean()
    torch.testing.assert_close(distillation_loss(student, teacher, "kl", 3.0), expected)
