"""Measures how many tokens per second chains read and write."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from search_spaces.layer_chain.chain import Chain
from search_spaces.layer_chain.decoder import Decoder, generate, next_token

NEW, REPEATS = 32, 5


@dataclass(frozen=True, slots=True)
class Speed:
    """Tokens per second of one sequence: read in one pass, and written one by one with a cache."""

    read: float
    written: float


def speeds(decoder: Decoder, chains: Sequence[Chain], tokens: Tensor) -> list[Speed]:
    """Measure chains in turn, so that all see the same state of the machine; medians.

    tokens: a prompt, `[1, T]`.
    """

    def read(chain: Chain) -> None:
        next_token(decoder, tokens, chain).item()  # waits for the device

    def written(chain: Chain) -> None:
        generate(decoder, tokens[:, :1], chain, NEW)

    times = [
        [(_seconds(read, chain), _seconds(written, chain)) for chain in chains]
        for _ in range(REPEATS)
    ]
    medians = [
        [statistics.median(column) for column in zip(*of_chain, strict=True)]
        for of_chain in zip(*times, strict=True)
    ]
    return [Speed(tokens.shape[1] / reading, NEW / writing) for reading, writing in medians]


def _seconds(work: Callable[[Chain], None], chain: Chain) -> float:
    started = time.perf_counter()
    work(chain)
    return time.perf_counter() - started
