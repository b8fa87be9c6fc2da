"""Speed is measured in turns, and the first turn does not count."""

import torch
from torch import nn

from nas.speed import milliseconds
from nas.tasks.task import Batch


class Waits(nn.Module):
    """Takes so many seconds of a clock that only it moves."""

    def __init__(self, clock: list[float], seconds: list[float]) -> None:
        super().__init__()
        self.clock, self.left = clock, seconds

    def forward(self, inputs, state, lengths):
        self.clock[0] += self.left.pop(0)


def test_the_median_of_each_model_without_its_first_pass() -> None:
    clock = [0.0]
    models = [Waits(clock, [9.0, 1.0, 5.0, 2.0]), Waits(clock, [9.0, 0.5, 0.25, 0.125])]
    batch = Batch(torch.zeros(1), torch.zeros(1))
    assert milliseconds(models, batch, repeats=3, clock=lambda: clock[0]) == [2000.0, 250.0]
