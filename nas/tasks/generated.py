"""Tasks that generate their sequences: trained at a range of lengths, tested at longer ones too."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Protocol

import numpy as np
from torch import Tensor

from nas.core.answers import IGNORED, cross_entropy, mean_cross_entropy, tensor
from nas.core.task import BadData, Batch, Measured
from nas.tasks.options import at_least
from search_spaces.space import DataShape

TRAINING, SCORES, VALIDATION, TEST, LONGER = range(5)  # streams of random numbers
TIMES = (1, 2, 4, 8)
HELD_OUT = 4  # batches of validation, and of test
EVALUATED = 64  # sequences in each of them
LONGER_EVALUATED = 128  # sequences of each test set


class Problem(Protocol):
    """Draws sequences of tokens, and says what is asked about them.

    tokens: number of different tokens, in inputs and in answers.
    continual: whether questions are asked at all steps, not only at the end; see `test_sets`.
    """

    @property
    def name(self) -> str: ...

    @property
    def tokens(self) -> int: ...

    @property
    def continual(self) -> bool: ...

    def draw(
        self, count: int, length: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return tokens and the right answers, both `[count, T]`; T grows with `length`.

        Answers are `IGNORED` at steps where nothing is asked.
        """
        ...


@dataclass(frozen=True)
class GeneratedTask:
    """Answers questions about generated sequences, at lengths that training has and beyond.

    problem: what is drawn and asked.
    shortest, longest: lengths in training; the sequences of one batch have one length.
    times: lengths of the test sets, as multiples of `longest`.
    batch: sequences per training step.
    """

    problem: Problem
    shortest: int
    longest: int
    times: tuple[int, ...]
    batch: int

    metric = "accuracy"
    higher_is_better = True
    carries_state = False

    @property
    def name(self) -> str:
        return self.problem.name

    @property
    def shape(self) -> DataShape:
        return DataShape("tokens", self.problem.tokens, self.problem.tokens, every_step=True)

    def training_batches(self, seed: int) -> Iterator[Batch]:
        for step in count():
            rng = stream(TRAINING, seed, step)
            yield self._draw(self.batch, int(rng.integers(self.shortest, self.longest + 1)), rng)

    def validation_batches(self) -> Iterator[Batch]:
        return self._held_out(VALIDATION)

    def test_batches(self) -> Iterator[Batch]:
        return self._held_out(TEST)

    def test_sets(self) -> dict[str, Iterator[Batch]]:
        """Return 128 sequences of each length by its multiple of the longest trained, as "2x".

        Of a continual problem, only the second half of each sequence counts: the steps that no
        shorter set has, if the multiples are powers of two.
        """
        return {f"{times}x": self._longer(times * self.longest) for times in self.times}

    def score_batch(self, seed: int) -> Batch:
        """Return 64 sequences of the longest trained length, the same for every seed."""
        return self._draw(EVALUATED, self.longest, stream(SCORES))

    def loss(self, answers: Tensor, targets: Tensor) -> Tensor:
        return cross_entropy(answers, targets)

    def measure(self, answered: Iterable[tuple[Tensor, Tensor]]) -> Measured:
        return Measured(*mean_cross_entropy(answered))

    def _held_out(self, split: int) -> Iterator[Batch]:
        """Yield batches of lengths that are evenly spread over those of training."""
        lengths = np.linspace(self.shortest, self.longest, HELD_OUT).round()
        for number, length in enumerate(lengths):
            yield self._draw(EVALUATED, int(length), stream(split, number))

    def _longer(self, length: int) -> Iterator[Batch]:
        batch = self._draw(LONGER_EVALUATED, length, stream(LONGER, length))
        if self.problem.continual:
            batch.targets[:, : batch.targets.shape[1] // 2] = IGNORED
        yield batch

    def _draw(self, count: int, length: int, rng: np.random.Generator) -> Batch:
        tokens, answers = self.problem.draw(count, length, rng)
        return Batch(tensor(tokens), tensor(answers))


def generated(
    problem: Problem, shortest: int, longest: int, times: Sequence[int], batch: int, least: int = 1
) -> GeneratedTask:
    """Return the task of a problem.

    least: the shortest length that the problem can have.
    Raises `BadData` for options that are no lengths, or a test set shorter than in training.
    """
    at_least(least, shortest=shortest)
    at_least(1, batch=batch)
    if type(longest) is not int or longest < shortest:
        raise BadData(
            f"longest is {longest!r}: give a whole number, at least shortest ({shortest})"
        )
    return GeneratedTask(problem, shortest, longest, multiples(times), batch)


def multiples(times: Sequence[int]) -> tuple[int, ...]:
    """Return the lengths of test sets as multiples of the longest length in training.

    Raises `BadData` unless they are different whole numbers, at least 1.

    >>> multiples([1, 4])
    (1, 4)
    """
    found = tuple(times) if isinstance(times, list | tuple) else ()
    right = found and all(type(one) is int and one >= 1 for one in found)
    if not right or len(set(found)) < len(found):
        raise BadData(
            f"times is {times!r}: list different whole numbers, at least 1, because test sets are "
            "at least as long as the longest sequence in training"
        )
    return found


def stream(split: int, *numbers: int) -> np.random.Generator:
    """Return the random numbers of a split; those of two splits never meet, whatever `numbers`."""
    return np.random.default_rng(np.random.SeedSequence(numbers or 0, spawn_key=(split,)))
