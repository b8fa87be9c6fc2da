"""State capacity: for how long does a passkey survive in noise?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nas.core.answers import IGNORED
from nas.tasks.generated import TIMES, GeneratedTask, generated
from nas.tasks.options import at_least

SYMBOLS = 10  # different digits


@dataclass(frozen=True)
class Passkey:
    """Reads noise in which a mark and a passkey hide, then answers the passkey's digits in order.

    A state that also keeps noise overflows in sequences longer than those of training; it learns
    to forget only if these are long enough for its size (Chen et al. 2024, Stuffed Mamba,
    https://arxiv.org/abs/2410.07145).

    noise: number of different noise tokens. digits: of the passkey.
    """

    noise: int
    digits: int

    name = "state-capacity"
    continual = False

    @property
    def tokens(self) -> int:
        return SYMBOLS + self.noise + 2

    def draw(
        self, count: int, length: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return `[count, length]` tokens and answers; the last `digits` tokens are questions."""
        mark, question = SYMBOLS + self.noise, SYMBOLS + self.noise + 1
        key = rng.integers(SYMBOLS, size=(count, self.digits))
        tokens = rng.integers(SYMBOLS, SYMBOLS + self.noise, (count, length))
        start = rng.integers(length - 2 * self.digits, size=(count, 1))
        rows = np.arange(count)[:, None]
        tokens[rows, start] = mark
        tokens[rows, start + 1 + np.arange(self.digits)] = key
        tokens[:, -self.digits :] = question
        answers = np.full((count, length), IGNORED)
        answers[:, -self.digits :] = key
        return tokens, answers


def load_state_capacity(
    *,
    noise: int = 16,
    digits: int = 5,
    shortest: int = 32,
    longest: int = 64,
    times: Sequence[int] = TIMES,
    batch: int = 64,
) -> GeneratedTask:
    """Return the task of a passkey of `digits` digits in `noise` different noise tokens.

    shortest, longest: steps of a sequence in training. times: lengths at which recall is tested,
        as multiples of `longest`.
    """
    at_least(1, noise=noise, digits=digits)
    problem = Passkey(noise, digits)
    return generated(problem, shortest, longest, times, batch, least=2 * digits + 1)
