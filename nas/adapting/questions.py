"""Questions with one right answer among several, and what chains of layers answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from search_spaces.layer_chain.decoder import Decoder
from search_spaces.layer_chain.trie import Node, PrefixTrie


@dataclass(frozen=True, slots=True)
class Question:
    """tokens: of the prompt. options: the token each answer begins with. gold: the right one's
    index. Raises `ValueError` for what cannot be judged."""

    tokens: tuple[int, ...]
    options: tuple[int, ...]
    gold: int

    def __post_init__(self) -> None:
        if not self.tokens:
            raise ValueError("a question has no tokens")
        if len(set(self.options)) != len(self.options) or len(self.options) < 2:
            raise ValueError(f"a question needs two or more different options, not {self.options}")
        if not 0 <= self.gold < len(self.options):
            raise ValueError(f"gold is {self.gold}, must be 0 to {len(self.options) - 1}")


class Judged(NamedTuple):
    """correct: the gold option is the likeliest. likelihood: its share among the options."""

    correct: bool
    likelihood: float


class Exam:
    """Answers questions by the logits of their options at the last position.

    memory_bytes: of hidden states, see `PrefixTrie`.
    """

    def __init__(self, decoder: Decoder, questions: Sequence[Question], memory_bytes: int) -> None:
        self.decoder, self.questions = decoder, tuple(questions)
        self.ends = torch.tensor([len(question.tokens) - 1 for question in questions])
        tokens = torch.zeros(len(questions), int(self.ends.max()) + 1, dtype=torch.long)
        for row, question in zip(tokens, questions, strict=True):
            row[: len(question.tokens)] = torch.tensor(question.tokens)
        self.trie = PrefixTrie(decoder, tokens, memory_bytes)

    def last_states(self, requests: Sequence[Node]) -> Tensor:
        """The hidden state at the last position of each question and chain, `[N, d]`."""
        return torch.stack(self.trie.run(requests, self._last))

    def judge(self, rows: Sequence[int], states: Tensor) -> list[Judged]:
        """What is answered from hidden states `[N, d]`, each of the question `rows` names."""
        with torch.no_grad():
            logits = self.decoder.logits(states.unsqueeze(1))[:, 0]
        return [_judged(self.questions[row], line) for row, line in zip(rows, logits, strict=True)]

    def _last(self, hidden: Tensor, rows: list[int]) -> Tensor:
        return hidden[torch.arange(len(rows)), self.ends[rows]]


def _judged(question: Question, logits: Tensor) -> Judged:
    shares = logits[list(question.options)].float().softmax(dim=0)
    return Judged(int(shares.argmax()) == question.gold, float(shares[question.gold]))
