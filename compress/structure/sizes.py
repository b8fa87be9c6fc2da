"""Integers that know where they come from, so that the right ones change with the channels."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
from torch import nn


@dataclass(frozen=True)
class Attribute:
    """A number that a module holds: `path.name`, or place `index` of a tuple of that name."""

    path: str
    name: str
    index: int | None = None


class Size(int):
    """An integer from which a network computes shapes.

    source: the attribute it was read from, or the labels of the axis whose length it is.
    share: the factor by which it was multiplied since.
    """

    source: Attribute | np.ndarray
    share: Fraction

    @classmethod
    def of(cls, value: int, source: Attribute | np.ndarray, share: Fraction | int = 1) -> "Size":
        size = cls(value)
        size.source, size.share = source, Fraction(share)
        return size

    def __mul__(self, other: Any) -> Any:
        result = int(self) * other
        if type(other) is not int or other < 1:
            return result
        return Size.of(result, self.source, self.share * other)

    __rmul__ = __mul__

    def __floordiv__(self, other: Any) -> Any:
        result = int(self) // other
        if type(other) is not int or other < 1 or int(self) % other:
            return result
        return Size.of(result, self.source, self.share / other)

    def __reduce__(self) -> tuple:
        return int, (int(self),)

    def __deepcopy__(self, memo: dict) -> int:
        return int(self)


@contextmanager
def known_sizes(model: nn.Module) -> Iterator[None]:
    """Turn the integers that modules hold into sizes that know their attribute, in this context."""
    before: list[tuple[dict, str, Any]] = []
    for path, module in model.named_modules():
        held = vars(module)
        for name, value in list(held.items()):
            new = _known(Attribute(path, name), value)
            if new is not value:
                before.append((held, name, value))
                held[name] = new
    try:
        yield
    finally:
        for held, name, value in before:
            held[name] = value


def _known(attribute: Attribute, value: Any) -> Any:
    if type(value) is int and value > 1:
        return Size.of(value, attribute)
    if (
        isinstance(value, (tuple, list))
        and type(value) in (tuple, list)
        and value
        and all(type(v) is int for v in value)
    ):
        each = [Size.of(v, replace(attribute, index=i)) for i, v in enumerate(value)]
        return each if type(value) is list else tuple(each)
    return value


def with_size(model: nn.Module, attribute: Attribute, value: int) -> None:
    """Set the attribute of a module to another number."""
    held = vars(model.get_submodule(attribute.path))
    if attribute.index is None:
        held[attribute.name] = value
        return
    numbers = list(held[attribute.name])
    numbers[attribute.index] = value
    held[attribute.name] = type(held[attribute.name])(numbers)
