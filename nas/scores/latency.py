"""Measured latency: the time of a forward pass in seconds."""

import statistics
import time
from collections.abc import Callable

import torch
from torch import nn

from nas.core.task import Batch


class Latency:
    """The median time of `repeats` forward passes of the batch, after a warm-up pass.

    As a measurement, it is the only score that changes from call to call.

    clock: returns the current time in seconds.
    """

    name = "latency"
    higher_is_better = False

    def __init__(self, repeats: int = 5, clock: Callable[[], float] = time.perf_counter) -> None:
        if repeats < 1:
            raise ValueError(f"repeats must be at least 1, not {repeats}")
        self.repeats = repeats
        self.clock = clock

    def __call__(
        self, model: nn.Module, batch: Batch, generator: torch.Generator
    ) -> dict[str, float]:
        seconds = []
        with torch.no_grad():
            for _ in range(self.repeats + 1):
                started = self.clock()
                model(batch.inputs, None, batch.lengths)
                if batch.inputs.is_cuda:
                    torch.cuda.synchronize()
                seconds.append(self.clock() - started)
        return {self.name: statistics.median(seconds[1:])}
