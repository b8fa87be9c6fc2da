"""What one step of a sequence needs: the state that it carries, and its time."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from nas.core.score import ScoreFailed
from search_spaces.inputs import first

REPEATS, CALLS = 5, 20


def state_bytes(model: nn.Module, inputs: Any) -> float:
    """Return the bytes of the state that a step carries for one sequence.

    inputs: a batch of tokens, features or images.
    Raises `ScoreFailed` for a model that returns no state, such as one that reads both ways.
    """
    with torch.no_grad():
        return float(_bytes(_state(model, first(inputs, 1))))


def step_latency(
    model: nn.Module, inputs: Any, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Return the seconds of one step of one sequence: the median of several bursts of calls.

    clock: returns the current time in seconds.
    Raises `ScoreFailed` like `state_bytes`, and for images, which have no single step.
    """
    if not isinstance(inputs, Tensor) or inputs.dim() == 4:
        raise ScoreFailed("step_latency needs sequences of tokens or features, not images")
    step, taken = inputs[:1, :1], []
    with torch.no_grad():
        state = _state(model, step)
        for _ in range(REPEATS + 1):
            started = clock()
            for _ in range(CALLS):
                state = model(step, state, None).state
            if step.is_cuda:
                torch.cuda.synchronize()
            taken.append((clock() - started) / CALLS)
    return statistics.median(taken[1:])


STEP_MEASURES: dict[str, Callable[[nn.Module, Any], float]] = {
    "state_bytes": state_bytes,
    "step_latency": step_latency,
}


def _state(model: nn.Module, inputs: Any) -> Any:
    state = model(inputs, None, None).state
    if not state:
        raise ScoreFailed("the model carries no state from step to step: it has no single step")
    return state


def _bytes(state: Any) -> int:
    """Return the bytes of all tensors in nested tuples."""
    if isinstance(state, Tensor):
        return state.numel() * state.element_size()
    return sum(_bytes(part) for part in state)
