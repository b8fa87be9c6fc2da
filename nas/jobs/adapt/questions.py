"""Questions with a correct answer, and how a decoder's logits answer them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor


class Row(NamedTuple):
    """Tokens to read; logits are needed from position `first` on.

    targets: the token that each of these positions should predict. options: instead, the tokens to
    compare at the last position.
    """

    tokens: tuple[int, ...]
    first: int
    targets: tuple[int, ...] = ()
    options: tuple[int, ...] = ()


def read(logits: Tensor, targets: Tensor) -> Tensor:
    """Return what a question needs of logits `[n, tokens]`, `[n, 3]`.

    It is the log-probability of the target `[n]`, the likeliest token, and its log-probability.
    """
    logs = logits.float().log_softmax(dim=-1)
    best, token = logs.max(dim=-1)
    target = logs.gather(-1, targets[:, None])[:, 0]
    return torch.stack([target.double(), token.double(), best.double()], dim=-1)


class Judged(NamedTuple):
    """A judged answer.

    answer: the number of the chosen option, or the generated tokens. correct: whether it is right.
    likelihood: the probability of the correct answer. confidence: that of the given answer.
    """

    answer: tuple[int, ...]
    correct: bool
    likelihood: float
    confidence: float


class Question(Protocol):
    @property
    def rows(self) -> tuple[Row, ...]: ...

    @property
    def right_answer(self) -> tuple[int, ...]:
        """The answer that is judged as correct."""
        ...

    def judged(self, readings: Sequence[Tensor]) -> Judged:
        """Judge what was read of every row: see `read`, or the logits of the row's options."""
        ...


@dataclass(frozen=True, slots=True)
class Letters:
    """A question answered by the most likely option at the last position.

    tokens: the prompt. options: the token of each option. gold: the correct option's number.
    Raises `ValueError` for invalid tokens, options or gold.
    """

    tokens: tuple[int, ...]
    options: tuple[int, ...]
    gold: int

    def __post_init__(self) -> None:
        _check(self.tokens, self.options, self.gold)
        if len(set(self.options)) < len(self.options):
            raise ValueError(f"options need different tokens, not {self.options}")

    @property
    def rows(self) -> tuple[Row, ...]:
        return (Row(self.tokens, len(self.tokens) - 1, options=self.options),)

    @property
    def right_answer(self) -> tuple[int, ...]:
        return (self.gold,)

    def judged(self, readings: Sequence[Tensor]) -> Judged:
        return _best(readings[0][-1].float().softmax(dim=0), self.gold)


@dataclass(frozen=True, slots=True)
class Likelihoods:
    """A question answered by the option with the highest mean log-probability per token.

    options: each option's tokens after the prompt. gold: the correct option's number.
    Raises `ValueError` for invalid tokens, options or gold.
    """

    tokens: tuple[int, ...]
    options: tuple[tuple[int, ...], ...]
    gold: int

    def __post_init__(self) -> None:
        _check(self.tokens, self.options, self.gold)

    @property
    def rows(self) -> tuple[Row, ...]:
        first = len(self.tokens) - 1
        return tuple(Row(self.tokens + o[:-1], first, targets=o) for o in self.options)

    @property
    def right_answer(self) -> tuple[int, ...]:
        return (self.gold,)

    def judged(self, readings: Sequence[Tensor]) -> Judged:
        means = [reading[:, 0].mean() for reading in readings]
        return _best(torch.stack(means).softmax(dim=0), self.gold)


@dataclass(frozen=True, slots=True)
class Exact:
    """A question answered by the most likely token at every position, as in greedy decoding.

    Raises `ValueError` if prompt or answer has no tokens.
    """

    tokens: tuple[int, ...]
    answer: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.tokens or not self.answer:
            raise ValueError("prompt and answer need at least one token each")

    @property
    def rows(self) -> tuple[Row, ...]:
        row = Row(self.tokens + self.answer[:-1], len(self.tokens) - 1, targets=self.answer)
        return (row,)

    @property
    def right_answer(self) -> tuple[int, ...]:
        return self.answer

    def judged(self, readings: Sequence[Tensor]) -> Judged:
        target, token, best = readings[0].unbind(dim=-1)
        found = tuple(map(int, token.tolist()))
        likelihood, confidence = float(target.sum().exp()), float(best.sum().exp())
        return Judged(found, found == self.answer, likelihood, confidence)


def _best(shares: Tensor, gold: int) -> Judged:
    best = int(shares.argmax())
    return Judged((best,), best == gold, float(shares[gold]), float(shares[best]))


def _check(tokens: Sequence[int], options: Sequence[object], gold: int) -> None:
    if not tokens:
        raise ValueError("a question needs at least one token")
    if len(options) < 2 or () in options:
        raise ValueError(f"a question needs two or more options with tokens, not {options}")
    if not 0 <= gold < len(options):
        raise ValueError(f"gold must be 0 to {len(options) - 1}, not {gold}")
