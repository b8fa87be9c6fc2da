"""Speed and memory of a teacher and its student, measured side by side in one run."""

import statistics
import time
import weakref
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from compress.speed import Speed

BATCHES = (1, 64)


def speeds(models: Sequence[nn.Module], inputs: Tensor, repeats: int = 15) -> list[Speed]:
    """Return the speed of each model; models take turns, so a slow machine slows all of them.

    inputs: examples, repeated if there are fewer than the largest batch.
    """
    for model in models:
        model.eval()
    largest = max(BATCHES)
    examples = inputs.repeat(-(-largest // len(inputs)), *[1] * (inputs.dim() - 1))[:largest]
    threads = torch.get_num_threads()
    one, every = {}, {}
    try:
        for batch in BATCHES:
            torch.set_num_threads(1)
            one[batch] = milliseconds(models, examples[:batch], repeats=repeats)
            torch.set_num_threads(threads)
            every[batch] = milliseconds(models, examples[:batch], repeats=repeats)
    finally:
        torch.set_num_threads(threads)
    return [
        Speed(
            parameters=sum(p.numel() for p in model.parameters()),
            bytes=sum(value.nbytes for value in model.state_dict().values()),
            milliseconds={batch: taken[i] for batch, taken in one.items()},
            milliseconds_all_threads={batch: taken[i] for batch, taken in every.items()},
            peak_bytes=peak_bytes(model, examples),
        )
        for i, model in enumerate(models)
    ]


def milliseconds(
    models: Sequence[Callable[..., object]],
    *inputs: Tensor | None,
    repeats: int = 15,
    clock: Callable[[], float] = time.perf_counter,
) -> list[float]:
    """Return the median time of each model's forward pass, without the first turn.

    Models take turns, so a slow machine slows all of them.
    clock: returns the current time in seconds.
    """
    seconds: list[list[float]] = [[] for _ in models]
    with torch.inference_mode():
        for turn in range(repeats + 1):
            for model, taken in zip(models, seconds, strict=True):
                started = clock()
                model(*inputs)
                if inputs[0] is not None and inputs[0].is_cuda:
                    torch.cuda.synchronize()
                if turn:
                    taken.append(clock() - started)
    return [1000 * statistics.median(taken) for taken in seconds]


def peak_bytes(model: nn.Module, inputs: Tensor) -> int:
    """Return the most bytes that tensors made by a forward pass hold at the same time."""
    with torch.no_grad(), _Memory() as memory:
        model(inputs)
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
