"""Predicts how long a network takes from a table of its layers' times, measured when needed."""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

from search_spaces.inputs import call, tensors_of

CONTAINERS = (
    *(nn.Sequential, nn.ModuleList, nn.ModuleDict, nn.Transformer),
    *(nn.TransformerEncoder, nn.TransformerDecoder),
)
LEAST_CALLS, MOST_CALLS, LEAST_SECONDS = 5, 50, 1e-3  # of one measurement


class LatencyTable:
    """Times of layers and functions, by their type, sizes, inputs and threads.

    A layer is a module without parts, or one of PyTorch's own; what other modules call themselves,
    such as an addition, is a function. What is not in the table is measured when it is first met.

    times: milliseconds by key. It grows.
    """

    def __init__(self, times: Mapping[str, float] | None = None) -> None:
        self.times = dict(times or {})

    def milliseconds(self, model: nn.Module, inputs: Any) -> float:
        """Return the sum of the times of all that a forward pass calls, with the current number of
        threads."""
        calls = _Calls(self)
        with torch.inference_mode(), _watched(model, calls), calls:
            call(model, inputs)
        return sum(calls.times)

    def look_up(self, key: str, function: Callable, args: tuple, kwargs: Mapping) -> float:
        """Return the milliseconds of a call; measure copies of it if it is new."""
        key = f"{torch.get_num_threads()} threads: {key}"
        if key not in self.times:
            self.times[key] = _measured(function, args, kwargs)
        return self.times[key]


def _measured(function: Callable, args: tuple, kwargs: Mapping) -> float:
    seconds: list[float] = []
    with torch._C.DisableTorchFunction():  # the mode that records calls slows them down
        args, kwargs = tree_map(_own, (args, dict(kwargs)))  # a function may work in place
        for _ in range(MOST_CALLS + 1):
            started = time.perf_counter()
            function(*args, **kwargs)
            seconds.append(time.perf_counter() - started)
            if len(seconds) > LEAST_CALLS and sum(seconds[1:]) > LEAST_SECONDS:
                break
    return 1000 * statistics.median(seconds[1:])


def _own(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else value


class _Calls(TorchFunctionMode):
    """Collects the times of layers, and of functions that are called outside of them."""

    def __init__(self, table: LatencyTable) -> None:
        super().__init__()
        self.table, self.times = table, list[float]()
        self.is_inside = False  # a layer, which is measured as a whole

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        name = getattr(func, "__name__", repr(func))
        if not self.is_inside and name != "__get__" and any(True for _ in tensors_of(result)):
            self.add(f"{name}{_form((args, kwargs))}", func, args, kwargs)
        return result

    def add(self, key: str, function: Callable, args: tuple, kwargs: Mapping) -> None:
        self.times.append(self.table.look_up(key, function, args, kwargs))

    def layer(self, module: nn.Module) -> Callable:
        """Return a forward method that adds the layer's time."""
        forward, described = module.forward, _described(module)

        def timed(*args: Any, **kwargs: Any) -> Any:
            if self.is_inside:
                return forward(*args, **kwargs)
            self.is_inside = True
            try:
                self.add(f"{described}{_form((args, kwargs))}", forward, args, kwargs)
                return forward(*args, **kwargs)
            finally:
                self.is_inside = False

        return timed


@contextmanager
def _watched(model: nn.Module, calls: _Calls) -> Iterator[None]:
    """Within, each layer of the network adds its time."""
    layers = [module for module in model.modules() if _is_layer(module)]
    try:
        for module in layers:
            vars(module)["forward"] = calls.layer(module)
        yield
    finally:
        for module in layers:
            vars(module).pop("forward", None)


def _is_layer(module: nn.Module) -> bool:
    if isinstance(module, (torch.jit.ScriptModule, *CONTAINERS)) or "forward" in vars(module):
        return False
    is_torchs = type(module).__module__.startswith("torch.nn.modules.")
    return is_torchs or not any(True for _ in module.children())


def _described(module: nn.Module) -> str:
    """The layer's type and sizes."""
    kind = type(module)
    sizes = [tuple(value.shape) for value in module.state_dict().values()]
    return f"{kind.__module__}.{kind.__qualname__}({module.extra_repr()}) {sizes} "


def _form(value: Any) -> Any:
    """The arguments with the shapes and types of tensors in their place."""

    def form(part: Any) -> Any:
        if isinstance(part, Tensor):
            return f"{str(part.dtype).removeprefix('torch.')}{list(part.shape)}"
        return part if isinstance(part, int | float | str | bool | None) else type(part).__name__

    return tree_map(form, value)
