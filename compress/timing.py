"""Speed and memory of a teacher and its student, measured side by side in one run."""

import statistics
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from compress.speed import Speed
from search_spaces.inputs import call, first, repeated, tensors_of

BATCHES = (1, 64)
BURST = 5  # timed calls of a turn


def speeds(models: Sequence[nn.Module], inputs: Any, repeats: int = 15) -> list[Speed]:
    """Return the speed of each model; models take turns, so a slow machine slows all of them.

    inputs: examples, repeated if there are fewer than the largest batch: a tensor, or several as a
        tuple or a dictionary.
    """
    for model in models:
        model.eval()
    largest = max(BATCHES)
    examples = repeated(inputs, largest)
    calls = [partial(call, model) for model in models]
    threads = torch.get_num_threads()
    one, every = {}, {}
    for batch in BATCHES:
        for taken, number in ((one, 1), (every, threads)):
            with using_threads(number):
                taken[batch] = milliseconds(calls, first(examples, batch), repeats=repeats)
    return [
        Speed(
            parameters=sum(p.numel() for p in model.parameters()),
            bytes=weight_bytes(model),
            milliseconds={batch: taken[i] for batch, taken in one.items()},
            milliseconds_all_threads={batch: taken[i] for batch, taken in every.items()},
            peak_bytes=peak_bytes(model, examples),
        )
        for i, model in enumerate(models)
    ]


@contextmanager
def using_threads(number: int) -> Iterator[None]:
    """Within, PyTorch computes with this number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def weight_bytes(model: nn.Module) -> int:
    """Return the size of all weights and statistics."""
    return sum(value.nbytes for value in model.state_dict().values())


def milliseconds(
    models: Sequence[Callable[..., Any]],
    *inputs: Any,
    repeats: int = 15,
    clock: Callable[[], float] = time.perf_counter,
) -> list[float]:
    """Return the median time of each model's forward pass.

    Models take turns, so a slow machine slows all of them. In its turn, a model runs once, which
    brings its weights back into the caches, and then `BURST` times, which count: this is the time
    of a network that runs alone.
    clock: returns the current time in seconds.
    """
    seconds: list[list[float]] = [[] for _ in models]
    with torch.inference_mode():
        for _ in range(-(-repeats // BURST)):
            for model, taken in zip(models, seconds, strict=True):
                for call_number in range(BURST + 1):
                    started = clock()
                    model(*inputs)
                    if any(tensor.is_cuda for tensor in tensors_of(inputs)):
                        torch.cuda.synchronize()
                    if call_number:
                        taken.append(clock() - started)
    return [1000 * statistics.median(taken) for taken in seconds]


def peak_bytes(model: nn.Module, inputs: Any) -> int:
    """Return the most bytes that tensors made by a forward pass hold at the same time."""
    with torch.no_grad(), _Memory() as memory:
        call(model, inputs)
    return memory.peak


class _Memory(TorchDispatchMode):
    """Tracks the total size of the storages that operations make and have not freed."""

    def __init__(self) -> None:
        super().__init__()
        self.held: dict[int, int] = {}
        self.peak = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        given = {id(t.untyped_storage()) for t in tree_leaves((args, kwargs)) if _is_tensor(t)}
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            storage = tensor.untyped_storage() if _is_tensor(tensor) else None
            if storage is None or id(storage) in given or storage.data_ptr() in self.held:
                continue
            self.held[storage.data_ptr()] = storage.nbytes()
            weakref.finalize(storage, self.held.pop, storage.data_ptr(), None)
        self.peak = max(self.peak, sum(self.held.values()))
        return result


def _is_tensor(value: object) -> bool:
    return isinstance(value, Tensor)
