"""Questions with a right answer, and what the logits of a decoder answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor


class Row(NamedTuple):
    """Tokens to read; logits are wanted from position `first` on."""

    tokens: tuple[int, ...]
    first: int


class Judged(NamedTuple):
    """answer: what was answered: an option's number, or the tokens said.

    correct: whether that is right. likelihood: the probability of the right answer.
    confidence: the probability of the given one.
    """

    answer: tuple[int, ...]
    correct: bool
    likelihood: float
    confidence: float


class Question(Protocol):
    @property
    def rows(self) -> tuple[Row, ...]: ...

    def judged(self, logits: Sequence[Tensor]) -> Judged:
        """logits: of every row, `[positions from first on, tokens]`."""
        ...


@dataclass(frozen=True, slots=True)
class Letters:
    """The likeliest of the options at the last position.

    tokens: of the prompt. options: the token that says each option. gold: the right one's number.
    Raises `ValueError` for what cannot be judged.
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

    def judged(self, logits: Sequence[Tensor]) -> Judged:
        (at_last,) = logits[0][-1:]
        return _best(at_last[list(self.options)].float().softmax(dim=0), self.gold)


@dataclass(frozen=True, slots=True)
class Likelihoods:
    """The option of the highest mean log-probability a token.

    options: tokens of each, as they follow the prompt. gold: the right one's number.
    Raises `ValueError` for what cannot be judged.
    """

    tokens: tuple[int, ...]
    options: tuple[tuple[int, ...], ...]
    gold: int

    def __post_init__(self) -> None:
        _check(self.tokens, self.options, self.gold)

    @property
    def rows(self) -> tuple[Row, ...]:
        return tuple(Row(self.tokens + o[:-1], len(self.tokens) - 1) for o in self.options)

    def judged(self, logits: Sequence[Tensor]) -> Judged:
        means = [_said(line, o).mean() for line, o in zip(logits, self.options, strict=True)]
        return _best(torch.stack(means).softmax(dim=0), self.gold)


@dataclass(frozen=True, slots=True)
class Exact:
    """The likeliest token at every position of the answer, as greedy decoding would say it.

    Raises `ValueError` where prompt or answer has no tokens.
    """

    tokens: tuple[int, ...]
    answer: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.tokens or not self.answer:
            raise ValueError("prompt and answer need at least one token each")

    @property
    def rows(self) -> tuple[Row, ...]:
        return (Row(self.tokens + self.answer[:-1], len(self.tokens) - 1),)

    def judged(self, logits: Sequence[Tensor]) -> Judged:
        best = tuple(logits[0].argmax(dim=-1).tolist())
        likelihood, confidence = (
            float(_said(logits[0], said).sum().exp()) for said in (self.answer, best)
        )
        return Judged(best, best == self.answer, likelihood, confidence)


def _said(logits: Tensor, tokens: Sequence[int]) -> Tensor:
    """Log-probabilities `[n]` of tokens, each at its own position of logits `[n, tokens]`."""
    return logits.float().log_softmax(dim=-1)[torch.arange(len(tokens)), list(tokens)]


def _best(shares: Tensor, gold: int) -> Judged:
    best = int(shares.argmax())
    return Judged((best,), best == gold, float(shares[gold]), float(shares[best]))


def _check(tokens: Sequence[int], options: Sequence[object], gold: int) -> None:
    if not tokens:
        raise ValueError("a question has no tokens")
    if len(options) < 2 or () in options:
        raise ValueError(f"a question needs two or more options of some tokens, not {options}")
    if not 0 <= gold < len(options):
        raise ValueError(f"gold is {gold}, must be 0 to {len(options) - 1}")
