"""Measured speed of models that are compared."""

import statistics
import time
from collections.abc import Callable, Sequence

import torch
from torch import nn

from nas.tasks.task import Batch


def milliseconds(
    models: Sequence[nn.Module],
    batch: Batch,
    repeats: int = 15,
    clock: Callable[[], float] = time.perf_counter,
) -> list[float]:
    """The median forward pass of each model, in turns, so that what slows the machine slows all.

    clock: seconds at the moment of the call.
    """
    seconds: list[list[float]] = [[] for _ in models]
    with torch.inference_mode():
        for turn in range(repeats + 1):
            for model, taken in zip(models, seconds, strict=True):
                started = clock()
                model(batch.inputs, None, batch.lengths)
                if turn:
                    taken.append(clock() - started)
    return [1000 * statistics.median(taken) for taken in seconds]
