"""Questions with a correct answer, and how a decoder's logits answer them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor


class Row(NamedTuple):
    """Tokens to read; logits are needed from position `first` on."""

    tokens: tuple[int, ...]
    first: int


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

    def judged(self, logits: Sequence[Tensor]) -> Judged:
        """Judge the logits of every row, `[positions from first on, tokens]`."""
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
        return (Row(self.tokens, len(self.tokens) - 1),)

    @property
    def right_answer(self) -> tuple[int, ...]:
        return (self.gold,)

    def judged(self, logits: Sequence[Tensor]) -> Judged:
        (at_last,) = logits[0][-1:]
        return _best(at_last[list(self.options)].float().softmax(dim=0), self.gold)


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
        return tuple(Row(self.tokens + o[:-1], len(self.tokens) - 1) for o in self.options)

    @property
    def right_answer(self) -> tuple[int, ...]:
        return (self.gold,)

    def judged(self, logits: Sequence[Tensor]) -> Judged:
        pairs = zip(logits, self.options, strict=True)
        means = [_log_probabilities(line, option).mean() for line, option in pairs]
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
        return (Row(self.tokens + self.answer[:-1], len(self.tokens) - 1),)

    @property
    def right_answer(self) -> tuple[int, ...]:
        return self.answer

    def judged(self, logits: Sequence[Tensor]) -> Judged:
        best = tuple(logits[0].argmax(dim=-1).tolist())
        likelihood, confidence = (
            float(_log_probabilities(logits[0], answer).sum().exp())
            for answer in (self.answer, best)
        )
        return Judged(best, best == self.answer, likelihood, confidence)


def _log_probabilities(logits: Tensor, tokens: Sequence[int]) -> Tensor:
    """Return log-probabilities `[n]` of tokens, one per position of logits `[n, tokens]`."""
    return logits.float().log_softmax(dim=-1)[torch.arange(len(tokens)), list(tokens)]


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
