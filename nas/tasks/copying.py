"""Copying: repeat what was read, all of it or only the symbols among blanks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nas.core.answers import IGNORED
from nas.tasks.generated import TIMES, GeneratedTask, generated
from nas.tasks.options import at_least


@dataclass(frozen=True)
class Copying:
    """Reads `length` symbols, then as many question tokens, and answers the symbols in order.

    Jelassi et al. 2024, https://arxiv.org/abs/2402.01032; there, the network reads its own answers,
    here a question token.
    """

    symbols: int

    name = "copying"
    continual = False

    @property
    def tokens(self) -> int:
        return self.symbols + 1

    def draw(
        self, count: int, length: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return `[count, 2 * length]` tokens and answers."""
        copied = rng.integers(self.symbols, size=(count, length))
        tokens = np.concatenate([copied, np.full_like(copied, self.symbols)], axis=1)
        return tokens, np.concatenate([np.full_like(copied, IGNORED), copied], axis=1)


@dataclass(frozen=True)
class SelectiveCopying:
    """Reads symbols at random places among blanks, and answers them in order, without the blanks.

    A token that starts the copy, and a blank for each answer, end the `length` steps.
    Gu and Dao 2023, https://arxiv.org/abs/2312.00752, section 3.1; Poli et al. 2024, MAD,
    https://arxiv.org/abs/2403.17844.

    copied: symbols in each sequence, however long it is.
    """

    symbols: int
    copied: int

    name = "selective-copying"
    continual = False

    @property
    def tokens(self) -> int:
        return self.symbols + 2

    def draw(
        self, count: int, length: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        blank, start = self.symbols, self.symbols + 1
        room = length - self.copied - 1
        places = np.sort(rng.random((count, room)).argsort(axis=1)[:, : self.copied], axis=1)
        copied = rng.integers(self.symbols, size=(count, self.copied))
        tokens = np.full((count, length), blank)
        tokens[np.arange(count)[:, None], places] = copied
        tokens[:, room] = start
        answers = np.full((count, length), IGNORED)
        answers[:, room + 1 :] = copied
        return tokens, answers


def load_copying(
    *,
    symbols: int = 14,
    shortest: int = 5,
    longest: int = 20,
    times: Sequence[int] = TIMES,
    batch: int = 64,
) -> GeneratedTask:
    """Return the task of copying `shortest` to `longest` symbols.

    symbols: number of different ones. times: symbols to copy in the test sets, as multiples of
        `longest`.
    """
    at_least(2, symbols=symbols)
    return generated(Copying(symbols), shortest, longest, times, batch)


def load_selective_copying(
    *,
    symbols: int = 14,
    copied: int = 8,
    shortest: int = 32,
    longest: int = 64,
    times: Sequence[int] = TIMES,
    batch: int = 64,
) -> GeneratedTask:
    """Return the task of copying `copied` symbols among blanks.

    symbols: number of different ones. shortest, longest: steps of a sequence in training, the
        answers included. times: lengths of the test sets, as multiples of `longest`.
    """
    at_least(2, symbols=symbols)
    at_least(1, copied=copied)
    problem = SelectiveCopying(symbols, copied)
    return generated(problem, shortest, longest, times, batch, least=2 * copied + 1)
