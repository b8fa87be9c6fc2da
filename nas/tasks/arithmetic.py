"""Arithmetic in several steps: each operation uses the result of the operations before it."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from nas.core.answers import IGNORED, cross_entropy, mean_cross_entropy, tensor
from nas.core.task import BadData, Batch, Measured
from nas.tasks.options import at_least
from search_spaces.space import DataShape

SIGNS = "+-*"
HELD_OUT = 8  # one in this many expressions is held out of training
VALIDATION, TEST, SCORES = 1, 2, 3


@dataclass(frozen=True)
class Arithmetic:
    """Evaluates expressions such as `3+5*2-4` from left to right, modulo a number.

    A token is the first number or a sign with its number, so a network without memory needs depth:
    it can compute a value one layer after the previous value. The target at every position is the
    value so far. A hash of the tokens splits the expressions: held-out ones occur in training as
    the beginning of longer ones, but their values are not targets there. They are the only targets
    of validation and test.

    operations: in the longest expressions. batch: expressions per training step.
    """

    modulus: int
    operations: int
    batch: int

    name = "arithmetic"
    metric = "accuracy"
    higher_is_better = True
    carries_state = False

    @property
    def tokens(self) -> int:
        return self.modulus * (1 + len(SIGNS))

    @property
    def shape(self) -> DataShape:
        return DataShape("tokens", self.tokens, self.tokens, every_step=True)

    def training_batches(self, seed: int) -> Iterator[Batch]:
        step = 0
        while True:
            tokens, values, held_out = self._draw(self.batch, np.random.default_rng([seed, step]))
            yield Batch(tensor(tokens), tensor(np.where(held_out, IGNORED, values)))
            step += 1

    def validation_batches(self) -> Iterator[Batch]:
        return self._held_out(VALIDATION)

    def test_batches(self) -> Iterator[Batch]:
        return self._held_out(TEST)

    def score_batch(self, seed: int) -> Batch:
        """Return 64 expressions, the same for every seed."""
        tokens, values, held_out = self._draw(64, np.random.default_rng([0, 0, SCORES]))
        return Batch(tensor(tokens), tensor(np.where(held_out, IGNORED, values)))

    def loss(self, answers: Tensor, targets: Tensor) -> Tensor:
        return cross_entropy(answers, targets)

    def measure(self, answered: Iterable[tuple[Tensor, Tensor]]) -> Measured:
        return Measured(*mean_cross_entropy(answered))

    def held_out(self, operations: int, count: int, split: int) -> list[tuple[str, str]]:
        """Return held-out expressions with `operations` operations and their values, as text."""
        rng = np.random.default_rng([split, operations, self.modulus])
        found: dict[str, str] = {}
        for _ in range(100):
            before = len(found)
            tokens, values, held_out = self._draw(max(1024, 4 * HELD_OUT * count), rng)
            for i in np.flatnonzero(held_out[:, operations]):
                found[self.text(tokens[i, : operations + 1])] = str(values[i, operations])
            if len(found) >= count or len(found) == before:
                break
        return list(found.items())[:count]  # few operations may give fewer expressions

    def text(self, tokens: Iterable[int]) -> str:
        """Return the expression that the tokens stand for.

        >>> load_arithmetic().text([3, 12, 23])
        '3+5*2'
        """
        signs = ("", *SIGNS)
        return "".join(f"{signs[t // self.modulus]}{t % self.modulus}" for t in map(int, tokens))

    def encode(self, text: str) -> list[int]:
        """Return the tokens of an expression; raises `ValueError` for any other text.

        >>> load_arithmetic().encode("3+5*2")
        [3, 12, 23]
        """
        if not re.fullmatch(rf"{self._digit}([+*-]{self._digit})*", text):
            raise ValueError(
                f'cannot read "{text}": write digits from 0 to {self.modulus - 1}, '
                f"joined by {' '.join(SIGNS)}, without spaces"
            )
        signs = ("", *SIGNS)
        found = re.findall(r"([+*-]?)(\d)", text)
        return [int(digit) + self.modulus * signs.index(sign) for sign, digit in found]

    @property
    def _digit(self) -> str:
        return f"[0-{self.modulus - 1}]"

    def _held_out(self, split: int) -> Iterator[Batch]:
        """Yield a batch of about 256 held-out expressions for every number of operations."""
        for operations in range(1, self.operations + 1):
            rng = np.random.default_rng([0, operations, split])
            tokens, values, held_out = self._draw(256 * HELD_OUT, rng)
            asked = np.full_like(values, IGNORED)
            asked[:, operations] = values[:, operations]
            chosen = held_out[:, operations]
            yield Batch(tensor(tokens[chosen]), tensor(asked[chosen]))

    def _draw(self, count: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        """Return tokens, values so far, and whether each beginning is held out, all `[B, T]`."""
        m, shape = self.modulus, (count, self.operations + 1)
        numbers, signs = rng.integers(m, size=shape), rng.integers(len(SIGNS), size=shape)
        values = numbers.copy()
        for i in range(1, shape[1]):
            before, number = values[:, i - 1], numbers[:, i]
            results = (before + number, before - number, before * number)
            values[:, i] = np.choose(signs[:, i], results) % m
        tokens = numbers + m * (signs + 1)
        tokens[:, 0] = numbers[:, 0]
        code = np.zeros_like(tokens)
        for i in range(shape[1]):
            code[:, i] = ((code[:, i - 1] if i else 7) * 31 + tokens[:, i] * 17) % 10_007
        return tokens, values, (code % HELD_OUT == 0) & (np.arange(shape[1]) > 0)


def load_arithmetic(*, modulus: int = 7, operations: int = 8, batch: int = 256) -> Arithmetic:
    """Return the task: 1 to `operations` operations on 0 … `modulus` - 1; modulus is 2 to 10."""
    at_least(2, modulus=modulus)
    at_least(1, operations=operations, batch=batch)
    if modulus > 10:
        raise BadData(f"modulus is {modulus}: give at most 10, because numbers are single digits")
    return Arithmetic(modulus, operations, batch)
