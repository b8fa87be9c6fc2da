"""N-parity with growing N: the parity of the last N bits needs a longer and longer memory."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from nas.core.answers import cross_entropy, mean_cross_entropy, tensor
from nas.core.task import Batch, Measured
from nas.tasks.options import at_least
from search_spaces.space import DataShape

FIRST = 2
PAD = 2  # after 0 and 1; 3 and 4 are the bits that count
VOCABULARY = 5


@dataclass(frozen=True)
class NParity:
    """Predicts the sum modulo 2 of a sequence's last N bits, for N from 2 to `largest`.

    A sequence has M ~ U(N + 2, 4N + 2) bits, each 1 with the sequence's probability u ~ U(0, 1)
    (Khajehabdollahi et al. 2024, https://arxiv.org/abs/2309.12927, section 3). There, the network
    has a head for every N. Here, one head serves all N, and the bits that count have tokens of
    their own: the network sees where the count begins but must carry it to the end.

    steps_per_n: training batches before N grows by one.
    """

    largest: int
    steps_per_n: int
    batch: int

    name = "n-parity"
    metric = "accuracy"
    higher_is_better = True
    carries_state = False

    @property
    def shape(self) -> DataShape:
        return DataShape("tokens", VOCABULARY, 2, every_step=False)

    def training_batches(self, seed: int) -> Iterator[Batch]:
        """Yield batches whose N grows with the step: half the newest N, half any N so far."""
        step = 0
        while True:
            rng = np.random.default_rng([seed, step])
            newest = min(self.largest, FIRST + step // self.steps_per_n)
            lengths = rng.integers(FIRST, newest + 1, self.batch)
            lengths[: self.batch // 2] = newest
            yield draw(lengths, rng)
            step += 1

    def validation_batches(self) -> Iterator[Batch]:
        return self._all_lengths(split=1)

    def test_batches(self) -> Iterator[Batch]:
        return self._all_lengths(split=2)

    def score_batch(self, seed: int) -> Batch:
        """Return 64 sequences that cover all N, the same for every seed."""
        rng = np.random.default_rng([3, self.largest])
        return draw(rng.integers(FIRST, self.largest + 1, 64), rng)

    def loss(self, answers: Tensor, targets: Tensor) -> Tensor:
        return cross_entropy(answers, targets)

    def measure(self, answered: Iterable[tuple[Tensor, Tensor]]) -> Measured:
        return Measured(*mean_cross_entropy(answered))

    def _all_lengths(self, split: int) -> Iterator[Batch]:
        """Yield a batch of 256 sequences for every N."""
        for n in range(FIRST, self.largest + 1):
            # Training seeds have two numbers, these have three: training never draws these batches.
            yield draw(np.full(256, n), np.random.default_rng([split, n, 2**20]))


def load_n_parity(*, largest: int = 10, steps_per_n: int = 50, batch: int = 64) -> NParity:
    """Return the task up to N = largest: `batch` sequences per step; N grows after `steps_per_n`.

    Labels are balanced for odd N; for even N the share of ones is N / (2N + 2), as u is uniform.
    """
    at_least(FIRST, largest=largest)
    at_least(1, steps_per_n=steps_per_n, batch=batch)
    return NParity(largest, steps_per_n, batch)


def draw(counts: np.ndarray, rng: np.random.Generator) -> Batch:
    """Draw sequences `[B, T]` whose last N bits count; `counts` `[B]` holds each N."""
    lengths = rng.integers(counts + 2, 4 * counts + 3)
    longest = int(lengths.max())
    bits = rng.random((len(counts), longest)) < rng.random((len(counts), 1))
    places = np.arange(longest)
    inside = places < lengths[:, None]
    counted = inside & (places >= (lengths - counts)[:, None])
    tokens = np.where(inside, bits + 3 * counted, PAD)
    parity = (bits & counted).sum(axis=1) % 2
    return Batch(tensor(tokens), tensor(parity), tensor(lengths))
