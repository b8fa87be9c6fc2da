"""Runs a network once and labels every axis of every tensor on the way."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from compress.structure.call import Call
from compress.structure.labels import Axes
from compress.structure.networks import answered, restored, tensors_in
from compress.structure.sizes import Size, known_sizes
from compress.structure.trace import TensorTable, Trace

# functions of torch.nn.functional ask these first; False makes them call the traced functions
SEEN_THROUGH = ("has_torch_function", "has_torch_function_unary", "has_torch_function_variadic")


LEAVING = {"numpy", "tolist", "array"}  # what becomes of them cannot be seen
CONTRACTING = {"linear", "matmul", "mm", "bmm", "einsum", "embedding", "conv1d", "conv2d"}
NO_OPERATION = {"requires_grad_", "retain_grad", "backward", "register_hook", "set_", "grad"}
OPERATORS = {
    **{f"i{name}": name for name in ("add", "sub", "mul", "pow", "and", "or", "xor")},
    **{f"r{name}": name for name in ("add", "mul", "pow", "and", "or", "xor")},
    **{name: "div" for name in ("truediv", "itruediv", "rtruediv", "rdiv", "idiv")},
    **{name: "floor_divide" for name in ("floordiv", "ifloordiv", "rfloordiv")},
    **{"rsub": "sub", "mod": "remainder", "rmatmul": "matmul", "imatmul": "matmul"},
}


class Tracer(TorchFunctionMode):
    """Labels the results of all torch functions that are called in its context."""

    def __init__(self, table: TensorTable, rules: Mapping[str, Callable]) -> None:
        super().__init__()
        self.table = table
        self.rules = rules

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, kwargs = name_of(func), kwargs or {}
        if name == "iter":
            return iter(self.__torch_function__(Tensor.unbind, types, args[:1]))
        result = func(*args, **kwargs)
        if name in ("size", "shape"):
            return self._sizes(args[0], result, args[1:], kwargs)
        call = Call(self.table, func, name, args, kwargs, result)
        for tensor in call.tensors:
            self.table.used(tensor)
        if name in LEAVING:
            call.fix(args[0])
        if name == "setitem":
            self.rules[name](call)
        if call.results and name not in NO_OPERATION:
            self._note(call)
        return result

    def _note(self, call: Call) -> None:
        """Label the results of a call by its rule."""
        try:
            if call.name not in self.rules:
                raise LookupError(f"what {call.name} does to channels is not known")
            axes = self._checked(call, self.rules[call.name](call))
        except Exception as error:
            axes = tuple((None,) * result.dim() for result in call.results)
            self._give_up(call, error)
        from_weights = (
            bool(call.tensors)
            and call.name not in CONTRACTING
            and all(map(self.table.is_weight, call.tensors))
        )
        for tensor, its_axes in zip(call.results, axes, strict=True):
            self.table.made(tensor, its_axes, from_weights=from_weights)
        self.table.trace.steps.append((call.name, axes))

    def _checked(self, call: Call, found: Any) -> tuple[Axes, ...]:
        axes = (found,) if len(call.results) == 1 and not _is_list_of_axes(found) else tuple(found)
        for result, each in zip(call.results, axes, strict=True):
            if len(each) != result.dim():
                raise ValueError(f"{call.name} has {result.dim()} axes, not {len(each)}")
            for labels, size in zip(each, result.shape, strict=True):
                if labels is not None and len(labels) != size:
                    raise ValueError(f"an axis of {call.name} has {size} places")
        return tuple(
            tuple(None if size == 1 else labels for labels, size in zip(e, r.shape, strict=True))
            for e, r in zip(axes, call.results, strict=True)
        )

    def _give_up(self, call: Call, error: Exception) -> None:
        if any(labels is not None for t in call.tensors for labels in self.table.axes(t)):
            where = self.table.where() or "the network"
            self.table.trace.unknown.setdefault(call.name, f"{where}: {error}")
        for tensor in call.tensors:
            call.fix(tensor, call.reason())

    def _sizes(self, tensor: Tensor, result: Any, args: Any, kwargs: Any) -> Any:
        axes = self.table.axes(tensor)
        known = [
            int(n) if labels is None else Size.of(n, labels)
            for n, labels in zip(tensor.shape, axes, strict=True)
        ]
        if isinstance(result, int):
            return known[kwargs["dim"] if "dim" in kwargs else args[0]]
        return torch.Size(known)


def name_of(func: Any) -> str:
    """Return the name of a torch function; in-place and reflected variants share it."""
    name = getattr(func, "__name__", str(func))
    if name == "__get__":
        return func.__self__.__name__
    bare = name.strip("_")
    if name.startswith("__") and bare in OPERATORS:
        return OPERATORS[bare]
    return bare


def _is_list_of_axes(found: Any) -> bool:
    return bool(found) and isinstance(found[0], (tuple, list))


def traced(
    model: nn.Module,
    example: Any,
    rules: Mapping[str, Callable],
    leaves: Mapping[type, Callable],
) -> Trace:
    """Return the trace of one call; leaves the network in evaluation mode.

    leaves: the rule `(call, path, module)` of a module type, which labels the module's outputs.
    """
    network = model.eval()
    with torch.no_grad():
        answered(network, example)  # creates what the network caches on its first call
    table = TensorTable(network)
    with ExitStack() as stack:
        for name in SEEN_THROUGH:
            stack.enter_context(patch.object(functional, name, lambda *_: False))
        stack.enter_context(restored(network))
        stack.enter_context(known_sizes(network))
        stack.enter_context(_told_where(table, network, leaves))
        stack.enter_context(torch.no_grad())
        with Tracer(table, rules):
            answer = answered(network, example)
    for tensor in tensors_in(answer):
        table.used(tensor)
        for labels in (*table.axes(tensor), table.stack(tensor)):
            table.labels.fix(labels, "they are outputs of the network")
    return table.trace


@contextmanager
def _told_where(
    table: TensorTable, model: nn.Module, leaves: Mapping[type, Callable]
) -> Iterator[None]:
    """Tell the table which module runs, and apply the leaves' own rules, in this context."""
    hooks = []
    for path, module in model.named_modules():
        leaf = next((rule for kind, rule in leaves.items() if isinstance(module, kind)), None)
        if leaf is not None:
            module.forward = _as_leaf(table, path, module, leaf)  # type: ignore[method-assign]
            continue
        if isinstance(module, torch.jit.ScriptModule):
            continue
        hooks.append(module.register_forward_pre_hook(_entering(table, path), prepend=True))
        hooks.append(module.register_forward_hook(lambda *_: _leave(table)))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _entering(table: TensorTable, path: str) -> Callable:
    def enter(*_: Any) -> None:
        table.place.append(path)

    return enter


def _leave(table: TensorTable) -> None:
    table.place.pop()


def _as_leaf(table: TensorTable, path: str, module: nn.Module, rule: Callable) -> Callable:
    run = type(module).forward

    def forward(*args: Any, **kwargs: Any) -> Any:
        with torch._C.DisableTorchFunction():
            answer = run(module, *args, **kwargs)
        call = Call(table, run, type(module).__name__, args, kwargs, answer)
        for tensor, axes in zip(call.results, rule(call, path, module), strict=True):
            table.known[tensor] = axes
        return answer

    return forward
