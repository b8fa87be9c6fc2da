"""Answers many questions with many chains of layers at once."""

from collections.abc import Sequence

import torch
from torch import Tensor

from nas.jobs.adapt.questions import Judged, Question
from search_spaces.layer_chain.chain import Chain
from search_spaces.layer_chain.decoder import Decoder
from search_spaces.layer_chain.trie import PrefixTrie

States = tuple[Tensor, ...]  # one per row of a question, `[positions that are read, d]`


class ChainEvaluator:
    """Runs a decoder on questions; chains with a common prefix share its computation.

    memory_bytes: the most memory for hidden states, see `PrefixTrie`.
    """

    def __init__(self, decoder: Decoder, questions: Sequence[Question], memory_bytes: int) -> None:
        self.decoder, self.questions = decoder, tuple(questions)
        self.rows = [row for question in questions for row in question.rows]
        self.tokens = torch.zeros(
            len(self.rows), max(len(row.tokens) for row in self.rows), dtype=torch.long
        )
        for padded, row in zip(self.tokens, self.rows, strict=True):
            padded[: len(row.tokens)] = torch.tensor(row.tokens)
        self.trie = PrefixTrie(decoder, self.tokens, memory_bytes)
        ends = torch.tensor([len(question.rows) for question in questions]).cumsum(0).tolist()
        self._places = [range(a, b) for a, b in zip([0, *ends], ends, strict=False)]

    def states(self, requests: Sequence[tuple[int, Chain]]) -> list[States]:
        """Return the final states of every request, a question's number and a chain."""
        nodes = [(row, chain) for number, chain in requests for row in self._places[number]]
        read = iter(self.trie.run(nodes, self._read))
        return [tuple(next(read) for _ in self._places[number]) for number, _ in requests]

    @torch.no_grad()
    def judge(self, numbers: Sequence[int], states: Sequence[States]) -> list[Judged]:
        """Judge the answers that final states give to the questions with these numbers."""
        if not numbers:
            return []
        flat = [rows for question in states for rows in question]
        logits = self.decoder.logits(torch.cat(flat).unsqueeze(1))[:, 0]
        parts = iter(logits.split([len(rows) for rows in flat]))
        return [
            self.questions[number].judged([next(parts) for _ in rows])
            for number, rows in zip(numbers, states, strict=True)
        ]

    def answers(self, chains: Sequence[Chain]) -> list[list[Judged]]:
        """Return each chain's answers to all questions."""
        count = len(self.questions)
        requests = [(number, chain) for chain in chains for number in range(count)]
        judged = self.judge([number for number, _ in requests], self.states(requests))
        return [judged[i * count : (i + 1) * count] for i in range(len(chains))]

    def _read(self, hidden: Tensor, rows: list[int]) -> list[Tensor]:
        wanted = [self.rows[row] for row in rows]
        return [
            state[row.first : len(row.tokens)].clone()
            for state, row in zip(hidden, wanted, strict=True)
        ]
