"""Measured latency: seconds of a forward pass."""

import statistics
import time
from collections.abc import Callable

import torch
from torch import nn

from nas.core.task import Batch


class Latency:
    """The median of `repeats` forward passes of the batch, after one that does not count.

    It is measured and not computed: the only score of which a second call gives another value.

    clock: seconds at the moment of the call.
    """

    name = "latency"
    higher_is_better = False

    def __init__(self, repeats: int = 5, clock: Callable[[], float] = time.perf_counter) -> None:
        if repeats < 1:
            raise ValueError(f"repeats is {repeats}, must be at least 1")
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
