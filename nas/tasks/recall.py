"""Multi-query associative recall: look up the values of keys that were read before."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nas.core.answers import IGNORED
from nas.core.task import BadData
from nas.tasks.generated import TIMES, GeneratedTask, generated
from nas.tasks.options import at_least

POWER = 0.01  # exponent of the distances of questions, as in zoology


@dataclass(frozen=True)
class Recall:
    """Reads pairs of a key and a value, then asks for each key's value in any order.

    The first half of the tokens are keys, the others values. Each key is asked for once: at a step
    after the pairs that holds the key, whose distance follows a power law, so most questions come
    early. All other steps hold random tokens.
    Arora et al. 2024, Zoology, https://arxiv.org/abs/2312.04927, section 4.

    pairs: in each sequence, however long it is.
    passes: how often the whole sequence is read; only the last pass has answers. With two passes,
        a network can know what it will be asked (Arora et al. 2024, Just read twice,
        https://arxiv.org/abs/2407.05483).
    """

    tokens: int
    pairs: int
    passes: int

    name = "recall"
    continual = False

    def draw(
        self, count: int, length: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return `[count, passes * length]` tokens and answers."""
        half, rows = self.tokens // 2, np.arange(count)[:, None]
        keys = rng.random((count, half)).argsort(axis=1)[:, : self.pairs]
        values = rng.integers(half, self.tokens, (count, self.pairs))
        tokens = rng.integers(self.tokens, size=(count, length))
        tokens[:, 0 : 2 * self.pairs : 2] = keys
        tokens[:, 1 : 2 * self.pairs : 2] = values
        asked = 2 * self.pairs + _places(count, length - 2 * self.pairs, self.pairs, rng)
        tokens[rows, asked] = keys
        answers = np.full((count, self.passes * length), IGNORED)
        answers[rows, (self.passes - 1) * length + asked] = values
        return np.tile(tokens, self.passes), answers


def _places(count: int, room: int, wanted: int, rng: np.random.Generator) -> np.ndarray:
    """Draw different places `[count, wanted]` below `room`, near ones more often."""
    weights = np.arange(1, room + 1) ** (POWER - 1)
    # The smallest of exponential times are a draw without replacement, in the order of the draws.
    return (rng.exponential(size=(count, room)) / weights).argsort(axis=1)[:, :wanted]


def load_recall(
    *,
    pairs: int = 8,
    vocabulary: int = 128,
    passes: int = 1,
    shortest: int = 32,
    longest: int = 64,
    times: Sequence[int] = TIMES,
    batch: int = 64,
) -> GeneratedTask:
    """Return the task of `pairs` keys and values among `vocabulary` tokens.

    The published settings are a vocabulary of 8,192, 64 to 256 steps, and 4 to 64 pairs.
    shortest, longest: steps of one pass in training, at least three for each pair.
    times: lengths of the test sets, as multiples of `longest`; the number of pairs stays.
    Raises `BadData` for more pairs than keys, and for other invalid options.
    """
    at_least(1, pairs=pairs, passes=passes)
    at_least(2, vocabulary=vocabulary)
    if pairs > vocabulary // 2:
        raise BadData(
            f"pairs is {pairs}, but {vocabulary} tokens have {vocabulary // 2} keys: give fewer "
            "pairs or a larger vocabulary"
        )
    problem = Recall(vocabulary, pairs, passes)
    return generated(problem, shortest, longest, times, batch, least=3 * pairs)
