"""Answers many questions with many chains of layers at once."""

from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nas.jobs.adapt.questions import Judged, Question, Row, read
from search_spaces.layer_chain.chain import Chain
from search_spaces.layer_chain.decoder import Decoder
from search_spaces.layer_chain.pretrained import decoder_of
from search_spaces.layer_chain.trie import PrefixTrie

LOGIT_BYTES = 12  # of one logit: as computed, in float32, and as a log-probability
States = tuple[Tensor, ...]  # one per row of a question, `[positions that are read, d]`


class ChainEvaluator:
    """Runs a decoder on questions; chains with a common prefix share its computation.

    memory_bytes: the most memory for hidden states, see `PrefixTrie`.
    """

    def __init__(self, decoder: Decoder, questions: Sequence[Question], memory_bytes: int) -> None:
        self.decoder, self.questions = decoder, tuple(questions)
        self.memory_bytes = memory_bytes
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
        rows = [row for number in numbers for row in self.questions[number].rows]
        flat = [state for question in states for state in question]
        return self._judged(numbers, self._readings(flat, rows))

    @torch.no_grad()
    def answers(self, chains: Sequence[Chain]) -> list[list[Judged]]:
        """Return each chain's answers to all questions."""
        count = len(self.questions)
        nodes = [(row, chain) for chain in chains for row in range(len(self.rows))]
        judged = self._judged([*range(count)] * len(chains), self.trie.run(nodes, self._graded))
        return [judged[i * count : (i + 1) * count] for i in range(len(chains))]

    def answers_of(self, network: nn.Module) -> tuple[bool, ...]:
        """Return for each question whether another network answers it correctly."""
        memory = max(8 * self.trie.state_bytes, self.memory_bytes // 8)  # for one chain
        other = ChainEvaluator(decoder_of(network), self.questions, memory)
        (judged,) = other.answers([tuple(range(other.decoder.layers))])
        return tuple(one.correct for one in judged)

    def _judged(self, numbers: Sequence[int], readings: Sequence[Tensor]) -> list[Judged]:
        """Judge questions by the readings of their rows, in order."""
        following = iter(readings)
        questions = [self.questions[number] for number in numbers]
        return [one.judged([next(following) for _ in one.rows]) for one in questions]

    def _graded(self, hidden: Tensor, rows: list[int]) -> list[Tensor]:
        read = [self.rows[row] for row in rows]
        states = [s[row.first : len(row.tokens)] for s, row in zip(hidden, read, strict=True)]
        return self._readings(states, read)

    def _readings(self, states: Sequence[Tensor], rows: Sequence[Row]) -> list[Tensor]:
        """Return what the questions need of states, `[positions, d]` of each row."""
        readings: dict[int, Tensor] = {}
        by_options: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
        for place, row in enumerate(rows):
            by_options[row.options].append(place)
        for options, places in by_options.items():
            chosen = [states[place] for place in places]
            targets = torch.tensor([t for place in places for t in rows[place].targets])
            found = self._in_pieces(torch.cat(chosen), targets, options)
            readings |= zip(places, found.split([len(one) for one in chosen]), strict=True)
        return [readings[place] for place in range(len(rows))]

    def _in_pieces(self, states: Tensor, targets: Tensor, options: tuple[int, ...]) -> Tensor:
        """Read states `[n, d]` with as many logits at a time as fit the trie's piece of memory."""
        most = max(
            1, self.trie.piece_bytes // (LOGIT_BYTES * (len(options) or self.decoder.tokens))
        )
        wanted = torch.tensor(options, device=states.device) if options else None
        targets = targets.to(states.device)
        found = []
        for first in range(0, len(states), most):
            piece = slice(first, first + most)
            logits = self.decoder.logits(states[piece].unsqueeze(1), wanted)[:, 0]
            found.append(logits.float() if options else read(logits, targets[piece]))
        return torch.cat(found).cpu()

    def _read(self, hidden: Tensor, rows: list[int]) -> list[Tensor]:
        wanted = [self.rows[row] for row in rows]
        return [
            state[row.first : len(row.tokens)].clone()
            for state, row in zip(hidden, wanted, strict=True)
        ]
