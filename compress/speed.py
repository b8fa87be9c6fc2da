"""Proof of speed: teacher and student, measured side by side in one run."""

import statistics
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

BATCHES = (1, 64)


@dataclass(frozen=True, slots=True)
class Speed:
    """Of one network.

    milliseconds, milliseconds_all_threads: median forward pass by batch size; in one thread, and
        in as many as PyTorch takes.
    peak_bytes: most memory that tensors made by a forward pass of the largest batch hold at once.
    bytes: of all weights and statistics; a safetensors file has a few kilobytes of names more.
    """

    parameters: int
    bytes: int
    milliseconds: dict[int, float]
    milliseconds_all_threads: dict[int, float]
    peak_bytes: int


def speeds(models: Sequence[nn.Module], inputs: Tensor, repeats: int = 15) -> list[Speed]:
    """The speed of each model, in turns, so that what slows the machine slows all.

    inputs: at least as many examples as the largest batch; fewer are repeated.
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
    models: Sequence[nn.Module],
    *inputs: Tensor | None,
    repeats: int = 15,
    clock: Callable[[], float] = time.perf_counter,
) -> list[float]:
    """The median forward pass of each model, in turns, so that what slows the machine slows all;
    the first turn does not count.

    clock: seconds at the moment of the call.
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
    """The most bytes that tensors made by a forward pass hold at the same time."""
    with torch.no_grad(), _Memory() as memory:
        model(inputs)
    return memory.peak


class _Memory(TorchDispatchMode):
    """Adds up the storages that operations make, until they are freed."""

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
