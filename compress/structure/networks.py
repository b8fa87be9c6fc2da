"""Copies, restores and calls any network, whatever its inputs and outputs are."""

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn


def copied(model: nn.Module) -> nn.Module:
    """Return a deep copy; works for networks with computed weights too (weight norm)."""
    memo: dict[int, Any] = {}
    for module in model.modules():
        for value in vars(module).values():
            if isinstance(value, Tensor) and not value.is_leaf:
                memo[id(value)] = value.detach().clone()
    return copy.deepcopy(model, memo)


@contextmanager
def restored(model: nn.Module) -> Iterator[None]:
    """Restore all weights, modules and attributes when the context ends."""
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
    """Call a network on an example: a tensor, a tuple or list, or a dictionary of keywords."""
    if isinstance(example, Mapping):
        return model(**example)
    return model(*example) if isinstance(example, (tuple, list)) else model(example)


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Yield the tensors of an answer, except a recurrent state that is only passed on."""
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
