"""What the checks share: failing in words, global randomness, inputs of any shape."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from nas.core.registry import Kind, needed
from search_spaces.space import DataShape


def require(holds: bool, message: str) -> None:
    """Raise `AssertionError` with the message unless it holds; `python -O` changes nothing."""
    if not holds:
        raise AssertionError(message)


def require_parts(kind: Kind, thing: object) -> None:
    """Raise `AssertionError` for a thing that lacks part of its protocol."""
    lacks = [part for part in needed(kind) if not hasattr(thing, part)]
    singular = kind.removesuffix("s")
    require(
        not lacks,
        f"{type(thing).__name__} has no {', '.join(lacks)}: a {singular} needs "
        f"{', '.join(needed(kind))}",
    )


@contextmanager
def no_error(what: str, remedy: str = "") -> Iterator[None]:
    """Turns any error into an `AssertionError` that begins with what was done."""
    try:
        yield
    except AssertionError:
        raise
    except Exception as error:
        told = f"{what} raises {type(error).__name__}: {error}"
        raise AssertionError(f"{told}; {remedy}" if remedy else told) from error


@contextmanager
def global_seed(seed: int) -> Iterator[None]:
    """The global random states of Python, NumPy and torch as the seed sets them, then as before."""
    states = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=()):
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])


def global_state() -> tuple[str, ...]:
    """The global random states, to be compared."""
    return str(random.getstate()), str(np.random.get_state()), str(torch.get_rng_state().tolist())


def inputs_of(data: DataShape, rows: int = 4, steps: int = 6) -> Tensor:
    """Random inputs of a shape."""
    generator = torch.Generator().manual_seed(0)
    if data.kind == "tokens":
        return torch.randint(data.inputs, (rows, steps), generator=generator)
    if data.kind == "images":
        return torch.randn(rows, data.inputs, data.height, data.width, generator=generator)
    return torch.randn(rows, steps, data.inputs, generator=generator)


def weights(model: nn.Module) -> dict[str, Tensor]:
    """A copy of everything in the state dictionary."""
    return {name: value.clone() for name, value in model.state_dict().items()}


def equal_weights(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return list(first) == list(second) and all(
        torch.equal(first[name].nan_to_num(), second[name].nan_to_num()) for name in first
    )
