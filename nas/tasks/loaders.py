"""Batches of a user's loaders: the same ones for the same seed, split into inputs and targets."""

import random
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nas.core.errors import BadInput

TARGETS = ("labels", "targets", "label", "target")  # names that a batch's targets may have
END = object()


def inputs_and_targets(batch: Any) -> tuple[Any, Any]:
    """Return what the network reads of a batch, and what its answers are compared with.

    `(x, y)` and `((a, b), y)` are inputs and targets; of `(a, b, y)` the inputs are `(a, b)`.
    A dictionary's targets are its "labels" or "targets", its inputs all the rest. A tensor alone,
    or a list of one, has no targets.

    >>> inputs_and_targets((1, 2, 3))
    ((1, 2), 3)
    >>> inputs_and_targets({"input_ids": 1, "labels": 2})
    ({'input_ids': 1}, 2)
    >>> inputs_and_targets([1])
    (1, None)
    """
    if isinstance(batch, Mapping):
        name = next((name for name in TARGETS if name in batch), None)
        inputs = {key: value for key, value in batch.items() if key != name}
        return inputs, None if name is None else batch[name]
    if not isinstance(batch, tuple | list):
        return batch, None
    *inputs, last = batch
    if not inputs:
        return last, None
    return (inputs[0] if len(inputs) == 1 else tuple(inputs)), last


def as_tensors(value: Any) -> Any:
    """Return the batch with tensors in the place of numpy's arrays, lists as tuples.

    Arrays are copied: shared ones are read-only.
    """
    if isinstance(value, np.ndarray):
        return torch.tensor(value)
    if isinstance(value, Mapping):
        return {name: as_tensors(part) for name, part in value.items()}
    if isinstance(value, tuple | list):
        return tuple(as_tensors(part) for part in value)
    return value


def check_loader(name: str, loader: Any) -> None:
    """Raise `BadInput` for what cannot be iterated more than once, or yields no batches."""
    if not hasattr(loader, "__iter__"):
        raise BadInput(
            f"{name} is a {type(loader).__name__}: pass a DataLoader or a list of batches"
        )
    if isinstance(loader, Iterator):
        raise BadInput(
            f"{name} is a {type(loader).__name__}, which ends after one pass: "
            "pass a DataLoader or a list of batches"
        )
    if next(one_pass(loader, [0]), END) is END:
        raise BadInput(f"{name} yields no batches: check its data, batch size and drop_last")


def one_pass(loader: Iterable[Any], seed: list[int]) -> Iterator[Any]:
    """Yield the batches of one pass, the same for the same seed.

    The generators of Python, numpy and torch, and a `DataLoader`'s own, begin at the seed. What is
    drawn elsewhere between two batches changes nothing here, and the loader changes nothing there.
    """
    number = int(np.random.SeedSequence(seed).generate_state(1)[0])
    iterator, inside = None, None
    while True:
        outside = _states()
        _seed(loader, number) if inside is None else _restore(inside)
        try:
            iterator = iter(loader) if iterator is None else iterator
            batch = next(iterator, END)
        finally:
            inside = _states()
            _restore(outside)
        if batch is END:
            return
        yield batch


def _seed(loader: Iterable[Any], number: int) -> None:
    random.seed(number)
    np.random.seed(number)
    torch.default_generator.manual_seed(number)
    for owner in (loader, getattr(loader, "sampler", None)):
        generator = getattr(owner, "generator", None)
        if isinstance(generator, torch.Generator):
            generator.manual_seed(number)


def _states() -> tuple[Any, Any, Tensor]:
    return random.getstate(), np.random.get_state(), torch.get_rng_state()


def _restore(states: tuple[Any, Any, Tensor]) -> None:
    random.setstate(states[0])
    np.random.set_state(states[1])
    torch.set_rng_state(states[2])
