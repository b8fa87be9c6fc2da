"""Delayed match to sample (N-DMS) with growing N: is the last bit the one N steps before?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nas.core.answers import tensor
from nas.core.task import Batch
from nas.tasks.generated import TIMES
from nas.tasks.growing_memory import Curriculum, GrowingMemory, growing_memory, with_question


@dataclass(frozen=True)
class DelayedMatch:
    """Whether a sequence's last bit is equal to the bit N steps before; all bits are balanced.

    A last token says N, so the network must keep every bit that could be asked for. N counts the
    steps between the two bits; the paper's N also counts the first one.
    """

    largest: int

    name = "delayed-match"

    @property
    def tokens(self) -> int:
        return self.largest + 1

    def draw(self, counts: np.ndarray, lengths: np.ndarray, rng: np.random.Generator) -> Batch:
        bits = rng.integers(2, size=(len(counts), int(lengths.max())))
        rows = np.arange(len(counts))
        matches = bits[rows, lengths - 1] == bits[rows, lengths - 1 - counts]
        tokens, lengths = with_question(bits, lengths, counts)
        return Batch(tensor(tokens), tensor(matches.astype(np.int64)), tensor(lengths))


def load_delayed_match(
    *,
    largest: int = 10,
    steps_per_n: int = 50,
    curriculum: Curriculum = "all",
    times: Sequence[int] = TIMES,
    batch: int = 64,
) -> GrowingMemory:
    """Return the task up to N = largest: `batch` sequences per step; N grows after `steps_per_n`.

    curriculum, times: see `GrowingMemory`.
    """
    problem = DelayedMatch(largest)
    return growing_memory(problem, largest, steps_per_n, batch, curriculum, times)
