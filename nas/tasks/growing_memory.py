"""Binary sequences whose answer needs the last N bits, with curricula that let N grow."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

import numpy as np
from torch import Tensor

from nas.core.answers import cross_entropy, mean_cross_entropy
from nas.core.task import BadData, Batch, Measured
from nas.tasks.generated import multiples
from nas.tasks.options import at_least
from search_spaces.space import DataShape

FIRST = 2  # the smallest N
EVALUATED = 256  # validation and test sequences of each N
LONGER_EVALUATED = 64  # test-set sequences of each N and length
VALIDATION, TEST, SCORES, LONGER = 1, 2, 3, 4
Curriculum = Literal["all", "one"]


class BitProblem(Protocol):
    """Draws binary sequences, and answers a question about the last N bits with 0 or 1."""

    @property
    def name(self) -> str: ...

    @property
    def tokens(self) -> int: ...

    def draw(self, counts: np.ndarray, lengths: np.ndarray, rng: np.random.Generator) -> Batch:
        """Return sequences `[B, T]` and answers `[B]`; `counts` `[B]` holds each N."""
        ...


@dataclass(frozen=True)
class GrowingMemory:
    """Answers a question about a sequence's last N bits, for N from 2 to `largest`.

    Sequences have M ~ U(N + 2, 4N + 2) bits; those of test sets have multiples of 4N + 2.
    Khajehabdollahi et al. 2024, https://arxiv.org/abs/2309.12927, section 3.

    steps_per_n: training batches before N grows by one.
    curriculum: "all" trains half of each batch on the newest N and half on any N so far (the
        paper's multi-head curriculum); "one" trains on the newest N only (its single-head one),
        and validates and tests on the largest, because networks forget the others.
    times: lengths of the test sets, as multiples of the longest length in training.
    """

    problem: BitProblem
    largest: int
    steps_per_n: int
    batch: int
    curriculum: Curriculum
    times: tuple[int, ...]

    metric = "accuracy"
    higher_is_better = True
    carries_state = False

    @property
    def name(self) -> str:
        return self.problem.name

    @property
    def shape(self) -> DataShape:
        return DataShape("tokens", self.problem.tokens, 2, every_step=False)

    def training_batches(self, seed: int) -> Iterator[Batch]:
        """Yield batches whose N grows with the step."""
        step = 0
        while True:
            rng = np.random.default_rng([seed, step])
            newest = min(self.largest, FIRST + step // self.steps_per_n)
            counts = np.full(self.batch, newest)
            if self.curriculum == "all":
                counts = rng.integers(FIRST, newest + 1, self.batch)
                counts[: self.batch // 2] = newest
            yield self.problem.draw(counts, drawn_lengths(counts, rng), rng)
            step += 1

    def validation_batches(self) -> Iterator[Batch]:
        return self._asked(VALIDATION)

    def test_batches(self) -> Iterator[Batch]:
        return self._asked(TEST)

    def test_sets(self) -> dict[str, Iterator[Batch]]:
        """Return sequences of the same N among more bits, by the multiple, such as "2x"."""
        return {f"{times}x": self._longer(times) for times in self.times}

    def score_batch(self, seed: int) -> Batch:
        """Return 64 sequences that cover all N, the same for every seed."""
        rng = np.random.default_rng([SCORES, self.largest])
        counts = rng.integers(FIRST, self.largest + 1, 64)
        return self.problem.draw(counts, drawn_lengths(counts, rng), rng)

    def loss(self, answers: Tensor, targets: Tensor) -> Tensor:
        return cross_entropy(answers, targets)

    def measure(self, answered: Iterable[tuple[Tensor, Tensor]]) -> Measured:
        return Measured(*mean_cross_entropy(answered))

    def _evaluated(self) -> range:
        return range(FIRST if self.curriculum == "all" else self.largest, self.largest + 1)

    def _asked(self, split: int) -> Iterator[Batch]:
        """Yield a batch of 256 sequences for every N that is evaluated."""
        for n in self._evaluated():
            # Training seeds have two numbers, these have three: training never draws these batches.
            rng = np.random.default_rng([split, n, 2**20])
            counts = np.full(EVALUATED, n)
            yield self.problem.draw(counts, drawn_lengths(counts, rng), rng)

    def _longer(self, times: int) -> Iterator[Batch]:
        for n in self._evaluated():
            rng = np.random.default_rng([LONGER, n, 2**20 + times])
            counts = np.full(LONGER_EVALUATED, n)
            yield self.problem.draw(counts, times * (4 * counts + 2), rng)


def growing_memory(
    problem: BitProblem,
    largest: int,
    steps_per_n: int,
    batch: int,
    curriculum: Curriculum,
    times: Sequence[int],
) -> GrowingMemory:
    """Return the task of a problem; raises `BadData` for invalid options."""
    at_least(FIRST, largest=largest)
    at_least(1, steps_per_n=steps_per_n, batch=batch)
    if curriculum not in get_args(Curriculum):
        raise BadData(
            f'unknown curriculum "{curriculum}"; choose {" or ".join(get_args(Curriculum))}'
        )
    return GrowingMemory(problem, largest, steps_per_n, batch, curriculum, multiples(times))


def drawn_lengths(counts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw the bits of each sequence, `[B]`, from N + 2 to 4N + 2."""
    return rng.integers(counts + 2, 4 * counts + 3)


def with_question(
    bits: np.ndarray, lengths: np.ndarray, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return tokens `[B, T + 1]` and their lengths: each sequence's bits, then the token for N.

    The token for N is N itself, so bits are 0 and 1, and N at least 2.
    """
    tokens = np.concatenate([bits, np.zeros((len(bits), 1), bits.dtype)], axis=1).astype(np.int64)
    tokens[np.arange(tokens.shape[1]) > lengths[:, None]] = 0
    tokens[np.arange(len(tokens)), lengths] = counts
    return tokens, lengths + 1
