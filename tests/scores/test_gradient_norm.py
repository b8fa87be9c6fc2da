"""The norm of the gradient, on a model whose gradient is known."""

import pytest
import torch
from torch import nn

from nas.core.score import ScoreFailed
from nas.core.task import Batch
from nas.scores.gradient_norm import GradientNorm
from search_spaces.output import Output


class Linear(nn.Module):
    """One weight matrix, initially zero, for two classes: both are equally likely."""

    def __init__(self, frozen: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2, 2))
        self.frozen = frozen

    def forward(self, inputs, state=None, lengths=None) -> Output:
        weight = self.weight * 0 if self.frozen else self.weight
        answers = inputs @ weight.T
        return Output(answers, None, answers.new_zeros(()))


BATCH = Batch(torch.tensor([[3.0, 4.0]]), torch.tensor([0]))


def test_it_agrees_with_a_calculation_by_hand() -> None:
    """dL/dW = (p - y) xᵀ with p = (½, ½), y = (1, 0): norm √½ · |x| = 5·√½."""
    score = GradientNorm()(Linear(), BATCH, torch.Generator())
    assert score == {"gradient-norm": pytest.approx(5 * 0.5**0.5)}


def test_a_model_without_trainable_weights_fails() -> None:
    with pytest.raises(ScoreFailed, match="no gradient"):
        GradientNorm()(Linear(frozen=True), BATCH, torch.Generator())


def test_the_model_is_unchanged() -> None:
    model = Linear()
    GradientNorm()(model, BATCH, torch.Generator())
    assert model.weight.grad is None
    assert not model.weight.any()
