"""Runs a network once and follows the labels of every axis of every tensor through it."""

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

from compress.structure.labels import Axes, Labels
from compress.structure.sizes import Attribute, Size, known_sizes

# read once and passed on by name: functions of torch.nn.functional call others of torch
SEEN_THROUGH = ("has_torch_function", "has_torch_function_unary", "has_torch_function_variadic")


class Blocks:
    """Labels of an axis that differ from block to block of the first axis: grouped convolutions.

    labels: `[blocks, places]`.
    """

    def __init__(self, labels: np.ndarray) -> None:
        self.labels = labels


@dataclass
class Trace:
    """What was seen of a network.

    axes: labels of parameters and buffers by name, of those that were used.
    makers: (path of the layer, labels that it makes), in the order of the calls.
    reads: labels of weights along which a layer reads what another one made.
    sizes: (attribute, labels, share): the attribute is `share` times the number of labels.
    averaged, multiplied: labels over which a mean is taken, and in which a product of two
        activations is summed.
    steps: for each call its name and the labels of its results.
    unknown: what was called that no rule describes, by name, with the first place.
    """

    labels: Labels = field(default_factory=Labels)
    axes: dict[str, list[Any]] = field(default_factory=dict)
    makers: list[tuple[str, np.ndarray]] = field(default_factory=list)
    reads: list[np.ndarray] = field(default_factory=list)
    sizes: list[tuple[Attribute, np.ndarray, Any]] = field(default_factory=list)
    leaves: dict[str, tuple[np.ndarray | None, np.ndarray]] = field(default_factory=dict)
    averaged: list[np.ndarray] = field(default_factory=list)
    multiplied: list[np.ndarray] = field(default_factory=list)
    steps: list[tuple[str, tuple[Axes, ...]]] = field(default_factory=list)
    unknown: dict[str, str] = field(default_factory=dict)


class Tracer(TorchFunctionMode):
    """Follows the labels while a network runs within it."""

    def __init__(self, model: nn.Module, rules: Mapping[str, Callable]) -> None:
        super().__init__()
        self.trace = Trace()
        self.labels = self.trace.labels
        self.rules = rules
        self.place: list[str] = [""]
        self.names: dict[int, str] = {}
        for name, tensor in (*model.named_parameters(), *model.named_buffers()):
            self.names.setdefault(id(tensor), name)
        self.known = WeakIdKeyDictionary()
        self.pending = WeakIdKeyDictionary()  # labels that must stay if the tensor is used
        self.derived = WeakIdKeyDictionary()  # tensors computed from parameters alone
        self.uniform = WeakIdKeyDictionary()  # tensors with one value everywhere, or noise
        self.stacks = WeakIdKeyDictionary()  # states of several recurrent layers, see `recurrent`

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, kwargs = name_of(func), kwargs or {}
        if name == "iter":
            return iter(self.__torch_function__(Tensor.unbind, types, args[:1]))
        result = func(*args, **kwargs)
        if name in ("size", "shape"):
            return self._sizes(args[0], result, args[1:], kwargs)
        call = Call(self, func, name, args, kwargs, result)
        for tensor in call.tensors:
            self.used(tensor)
        if name in LEAVING:
            call.fix(args[0])
        if name == "setitem":
            self.rules[name](call)
        if not call.results or name in NO_OPERATION:
            return result
        rule = self.rules.get(name)
        try:
            if rule is None:
                raise LookupError(f"what {name} does to channels is not known")
            found = rule(call)
            axes = self._checked(call, found)
        except Exception as error:
            axes = tuple((None,) * result.dim() for result in call.results)
            self._give_up(call, error)
        for result_tensor, its_axes in zip(call.results, axes, strict=True):
            if id(result_tensor) not in self.names:
                self.known[result_tensor] = its_axes
                if (
                    call.tensors
                    and name not in CONTRACTING
                    and all(map(self.is_weight, call.tensors))
                ):
                    self.derived[result_tensor] = True
        self.trace.steps.append((name, axes))
        return result

    def used(self, tensor: Tensor) -> None:
        """Keep what this tensor was taken from by number, as its values matter."""
        for labels, reason in self.pending.pop(tensor, ()):
            self.labels.fix(labels, reason)

    def axes(self, tensor: Tensor) -> Axes:
        """Return the labels of each axis of a tensor; parameters get theirs when first asked."""
        name = self.names.get(id(tensor))
        if name is None:
            found = self.known.get(tensor)
            return (None,) * tensor.dim() if found is None else found
        if name not in self.trace.axes:
            self.trace.axes[name] = [self.fresh(size) for size in tensor.shape]
        return tuple(None if isinstance(a, Blocks) else a for a in self.trace.axes[name])

    def is_weight(self, tensor: Tensor) -> bool:
        """Return whether a tensor is a parameter or computed from parameters alone."""
        return id(tensor) in self.names or tensor in self.derived

    def fresh(self, size: int) -> np.ndarray | None:
        """Return new labels for an axis; an axis of one place needs none."""
        return self.labels.new(int(size)) if size > 1 else None

    def stack(self, tensor: Tensor) -> np.ndarray | None:
        """Return the labels `[layers, …, units]` of the states of several layers, if it is that."""
        return self.stacks.get(tensor)

    def where(self) -> str:
        """Return the path of the module that runs."""
        return self.place[-1]

    def _checked(self, call: "Call", found: Any) -> tuple[Axes, ...]:
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

    def _give_up(self, call: "Call", error: Exception) -> None:
        if any(labels is not None for t in call.tensors for labels in self.axes(t)):
            where = self.where() or "the network"
            self.trace.unknown.setdefault(call.name, f"{where}: {error}")
        for tensor in call.tensors:
            call.fix(tensor, call.reason())

    def _sizes(self, tensor: Tensor, result: Any, args: Any, kwargs: Any) -> Any:
        axes = self.axes(tensor)
        known = [
            int(n) if labels is None else Size.of(n, labels)
            for n, labels in zip(tensor.shape, axes, strict=True)
        ]
        if isinstance(result, int):
            return known[kwargs["dim"] if "dim" in kwargs else args[0]]
        return torch.Size(known)


class Call:
    """One call of a function of torch, as its rule sees it.

    tensors: all tensors among the arguments. results: all tensors that came of it.
    """

    def __init__(
        self, tracer: Tracer, func: Any, name: str, args: tuple, kwargs: dict, result: Any
    ) -> None:
        self.tracer, self.labels = tracer, tracer.labels
        self.func, self.name, self.args, self.kwargs = func, name, args, kwargs
        self.result = result
        self.tensors = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
        self.results = [t for t in tree_leaves(result) if isinstance(t, Tensor)]

    def get(self, place: int, name: str, default: Any = None) -> Any:
        """Return an argument by its place or its name."""
        if name in self.kwargs:
            return self.kwargs[name]
        return self.args[place] if place < len(self.args) else default

    def numbers(self, place: int, name: str) -> tuple:
        """Return the numbers given from a place on, as a tuple or one by one."""
        if name in self.kwargs:
            given = self.kwargs[name]
        else:
            given = self.args[place:]
            if len(given) == 1 and isinstance(given[0], (tuple, list)):
                given = given[0]
        return (given,) if isinstance(given, int) else tuple(given)

    def axes(self, tensor: Tensor) -> Axes:
        """Return the labels of each axis of a tensor."""
        stack = self.tracer.stack(tensor)
        if stack is not None:  # used as one tensor: the same units of all its layers go together
            every = stack.reshape(-1, stack.shape[-1])
            for other in every[1:]:
                self.labels.unite(every[0], other)
            return (*(None,) * (tensor.dim() - 1), every[0])
        return self.tracer.axes(tensor)

    def unite(self, some: np.ndarray | None, others: np.ndarray | None) -> np.ndarray | None:
        """Unite two axes of the same length, and return the labels of what comes of them.

        Where one has none, the other must stay, and has none from here on.
        """
        if some is None or others is None:
            self.labels.fix(some, self.reason())
            self.labels.fix(others, self.reason())
            return None
        self.labels.unite(some, others)
        return some

    def fix(self, tensor: Any, reason: str | None = None) -> None:
        """Keep all channels of a tensor whole."""
        if isinstance(tensor, Tensor):
            for labels in self.axes(tensor):
                self.labels.fix(labels, reason or self.reason())

    def fix_axis(self, labels: np.ndarray | None) -> None:
        """Keep the channels of an axis whole."""
        self.labels.fix(labels, self.reason())

    def size(self, number: Any, labels: np.ndarray | None) -> None:
        """Note that a number given is the length of an axis with these labels."""
        if not isinstance(number, Size) or labels is None:
            return
        if isinstance(number.source, Attribute):
            self.tracer.trace.sizes.append((number.source, labels, number.share))
        elif number.source is not labels:
            self.labels.tie((number.source, labels))

    def fix_if_used(self, labels: np.ndarray) -> None:
        """Keep these channels if the values that were taken of them are used, not only a shape."""
        for result in self.results:
            held = self.tracer.pending.get(result) or []
            self.tracer.pending[result] = [*held, (labels, self.reason())]

    def makes(self, weight: Any, labels: np.ndarray | None) -> None:
        """Note which layer makes these channels."""
        if labels is not None:
            self.tracer.trace.makers.append((self.layer(weight), labels))

    def reads(self, labels: np.ndarray | None) -> None:
        """Note that a layer reads channels along this axis of its weight."""
        if labels is not None:
            self.tracer.trace.reads.append(labels)

    def layer(self, weight: Any) -> str:
        """Return the path of the layer that holds a weight, or that runs."""
        name = self.tracer.names.get(id(weight))
        return self.tracer.where() if name is None else name.rpartition(".")[0]

    def reason(self) -> str:
        """Return why channels cannot be followed further here."""
        return f"{self.name} in {self.tracer.where() or 'the network'} needs all of them"


LEAVING = {"numpy", "tolist", "array"}  # what becomes of them cannot be seen
CONTRACTING = {"linear", "matmul", "mm", "bmm", "einsum", "embedding", "conv1d", "conv2d"}
NO_OPERATION = {"requires_grad_", "retain_grad", "backward", "register_hook", "set_", "grad"}


def name_of(func: Any) -> str:
    """Return the name of a function of torch without the marks of its variants."""
    name = getattr(func, "__name__", str(func))
    if name == "__get__":
        return func.__self__.__name__
    bare = name.strip("_")
    if name.startswith("__") and bare in OPERATORS:
        return OPERATORS[bare]
    return bare


OPERATORS = {
    **{f"i{name}": name for name in ("add", "sub", "mul", "pow", "and", "or", "xor")},
    **{f"r{name}": name for name in ("add", "mul", "pow", "and", "or", "xor")},
    **{name: "div" for name in ("truediv", "itruediv", "rtruediv", "rdiv", "idiv")},
    **{name: "floor_divide" for name in ("floordiv", "ifloordiv", "rfloordiv")},
    **{"rsub": "sub", "mod": "remainder", "rmatmul": "matmul", "imatmul": "matmul"},
}


def _is_list_of_axes(found: Any) -> bool:
    return bool(found) and isinstance(found[0], (tuple, list))


def copied(model: nn.Module) -> nn.Module:
    """Return a deep copy, also of a network that holds weights which it computes (weight norm)."""
    memo: dict[int, Any] = {}
    for module in model.modules():
        for value in vars(module).values():
            if isinstance(value, Tensor) and not value.is_leaf:
                memo[id(value)] = value.detach().clone()
    return copy.deepcopy(model, memo)


@contextmanager
def restored(model: nn.Module) -> Iterator[None]:
    """Within, weights, modules and attributes may be replaced: afterwards they are as before."""
    own = ("_parameters", "_buffers", "_modules")
    before = [
        (module, dict(vars(module)), {name: dict(vars(module)[name]) for name in own})
        for module in model.modules()
    ]
    try:
        yield
    finally:
        for module, held, tables in before:
            vars(module).clear()
            vars(module).update(held)
            for name, table in tables.items():
                held[name].clear()
                held[name].update(table)


def answered(model: nn.Module, example: Any) -> Any:
    """Return what a network answers to an example: a tensor, a tuple or list, or a dictionary."""
    if isinstance(example, Mapping):
        return model(**example)
    return model(*example) if isinstance(example, (tuple, list)) else model(example)


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Yield the tensors of an answer; the state that a network hands back to itself is none."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        yield from tensors_in(list(value.values()))
    elif isinstance(value, (tuple, list)):
        names = getattr(value, "_fields", (None,) * len(value))
        for name, item in zip(names, value, strict=True):
            if name != "state":
                yield from tensors_in(item)
    elif hasattr(value, "__dataclass_fields__"):
        yield from tensors_in([getattr(value, name) for name in value.__dataclass_fields__])


def traced(
    model: nn.Module,
    example: Any,
    rules: Mapping[str, Callable],
    leaves: Mapping[type, Callable],
) -> Trace:
    """Return the trace of one call in evaluation mode, which the network is left in.

    leaves: by type of module the function `(tracer, path, module, args, kwargs, answer)` that
        returns the labels of the answer's tensors.
    """
    network = model.eval()
    with torch.no_grad():
        answered(network, example)  # so that what it keeps from call to call is there
    tracer = Tracer(network, rules)
    with ExitStack() as stack:
        for name in SEEN_THROUGH:
            stack.enter_context(patch.object(functional, name, lambda *_: False))
        stack.enter_context(restored(network))
        stack.enter_context(known_sizes(network))
        stack.enter_context(_told_where(tracer, network, leaves))
        stack.enter_context(torch.no_grad())
        with tracer:
            answer = answered(network, example)
    for tensor in tensors_in(answer):
        tracer.used(tensor)
        for labels in tracer.axes(tensor):
            tracer.labels.fix(labels, "the network answers with them")
        stacked = tracer.stack(tensor)
        tracer.labels.fix(stacked, "the network answers with them")
    return tracer.trace


@contextmanager
def _told_where(
    tracer: Tracer, model: nn.Module, leaves: Mapping[type, Callable]
) -> Iterator[None]:
    """Within, the tracer knows which module runs, and leaves have the rules of their own."""
    hooks = []
    for path, module in model.named_modules():
        leaf = next((rule for kind, rule in leaves.items() if isinstance(module, kind)), None)
        if leaf is not None:
            module.forward = _as_leaf(tracer, path, module, leaf)  # type: ignore[method-assign]
            continue
        if isinstance(module, torch.jit.ScriptModule):
            continue
        hooks.append(module.register_forward_pre_hook(_entering(tracer, path), prepend=True))
        hooks.append(module.register_forward_hook(lambda *_: _leave(tracer)))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _entering(tracer: Tracer, path: str) -> Callable:
    def enter(*_: Any) -> None:
        tracer.place.append(path)

    return enter


def _leave(tracer: Tracer) -> None:
    tracer.place.pop()


def _as_leaf(tracer: Tracer, path: str, module: nn.Module, rule: Callable) -> Callable:
    run = type(module).forward

    def forward(*args: Any, **kwargs: Any) -> Any:
        with torch._C.DisableTorchFunction():
            answer = run(module, *args, **kwargs)
        call = Call(tracer, run, type(module).__name__, args, kwargs, answer)
        for tensor, axes in zip(call.results, rule(call, path, module), strict=True):
            tracer.known[tensor] = axes
        return answer

    return forward
