"""Weights that layers draw by themselves, drawn from a generator."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def drawn_from(generator: torch.Generator) -> Iterator[None]:
    """Layers that are made within draw their weights from the generator, on the CPU.

    >>> with drawn_from(torch.Generator().manual_seed(0)):
    ...     first = torch.nn.Linear(2, 2)
    >>> with drawn_from(torch.Generator().manual_seed(0)):
    ...     second = torch.nn.Linear(2, 2)
    >>> torch.equal(first.weight, second.weight)
    True
    """
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(int(torch.randint(2**31, (), generator=generator)))
        yield
