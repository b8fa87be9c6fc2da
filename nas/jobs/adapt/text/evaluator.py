"""Measures chains on plain text: the loss of the next token, and the distance to the full chain."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.jobs.adapt.influence import Influence, influence_of
from search_spaces.layer_chain.chain import Chain
from search_spaces.layer_chain.decoder import Decoder
from search_spaces.layer_chain.pretrained import decoder_of
from search_spaces.layer_chain.trie import PrefixTrie

LOGIT_BYTES = 20  # of one logit: of both chains, in float32, and their product


@dataclass(frozen=True, order=True, slots=True)
class TextGrade:
    """A chain's results on a text; a chain with a lower loss is greater.

    log_likelihood: the mean of the next tokens, in nats.
    divergence: the mean Kullback-Leibler divergence of the chain's next token from the full
        chain's, in nats.
    """

    log_likelihood: float
    divergence: float = field(compare=False)

    @property
    def perplexity(self) -> float:
        return math.exp(min(-self.log_likelihood, 700.0))

    def is_close_to(self, full: "TextGrade", tolerance: float) -> bool:
        """Return whether the perplexity is higher than `full`'s by at most this share."""
        return self.log_likelihood >= full.log_likelihood - math.log1p(tolerance)


class TextEvaluator:
    """Grades chains on windows `[n, T]` of tokens, each chain once.

    memory_bytes: the most memory for hidden states, see `PrefixTrie`. teacher: has the full chain
        from which divergence is measured; by default, this evaluator.
    """

    def __init__(
        self,
        decoder: Decoder,
        windows: Tensor,
        memory_bytes: int,
        teacher: "TextEvaluator | None" = None,
    ) -> None:
        self.decoder, self.windows = decoder, windows
        self.memory_bytes, self.teacher = memory_bytes, teacher or self
        self.trie = PrefixTrie(decoder, windows, memory_bytes // 2)  # the rest is for `_full`
        self.known: dict[Chain, TextGrade] = {}

    def __call__(self, chains: Iterable[Chain]) -> list[TextGrade]:
        chains = list(chains)
        new = [chain for chain in dict.fromkeys(chains) if chain not in self.known]
        rows = range(len(self.windows))
        read = partial(self._read, self.teacher._full)
        found = self.trie.run([(row, chain) for chain in new for row in rows], read)
        tokens = self.windows[:, 1:].numel()
        for place, chain in enumerate(new):
            of_chain = torch.stack(found[place * len(rows) : (place + 1) * len(rows)])
            likelihood, divergence = (of_chain.sum(dim=0) / tokens).tolist()
            self.known[chain] = TextGrade(likelihood, divergence)
        return [self.known[chain] for chain in chains]

    def grade_of(self, network: nn.Module) -> TextGrade:
        """Grade another network, with its divergence from this evaluator's full chain."""
        other = TextEvaluator(decoder_of(network), self.windows, self.memory_bytes, self)
        return other([tuple(range(other.decoder.layers))])[0]

    def influence(self) -> Influence:
        return influence_of(self.decoder, self.windows.tolist())

    @cached_property
    def _full(self) -> list[Tensor]:
        """The full chain's last hidden states, `[T - 1, d]` for each window."""
        full = tuple(range(self.decoder.layers))
        return self.trie.run(
            [(row, full) for row in range(len(self.windows))],
            lambda hidden, _: [state[:-1].clone() for state in hidden],
        )

    def _read(self, full: list[Tensor], hidden: Tensor, rows: list[int]) -> Iterator[Tensor]:
        """Yield `sums` of every row, with as many logits at a time as fit the trie's piece."""
        most = max(1, self.trie.piece_bytes // (LOGIT_BYTES * self.decoder.tokens))
        for state, row in zip(hidden, rows, strict=True):
            ours, theirs = state[:-1].split(most), full[row].split(most)
            parts = zip(ours, theirs, self.windows[row, 1:].split(most), strict=True)
            yield torch.stack([self._sums(*part) for part in parts]).sum(dim=0)

    def _sums(self, ours: Tensor, theirs: Tensor, following: Tensor) -> Tensor:
        """Return `sums` for last hidden states of this decoder and the teacher, `[T, d]`."""
        learnt, taught = self.decoder.logits(ours[None]), self.teacher.decoder.logits(theirs[None])
        return sums(learnt[0], taught[0], following)


def sums(learnt: Tensor, taught: Tensor, following: Tensor) -> Tensor:
    """Return the log-likelihood of the next tokens, and the divergence, summed, as `[2]`.

    learnt, taught: logits `[T, tokens]`. following: the next tokens, `[T]`.
    """
    learnt, taught = (logits.float().log_softmax(dim=-1) for logits in (learnt, taught))
    likelihood = learnt.gather(1, following.to(learnt.device)[:, None]).sum()
    divergence = functional.kl_div(learnt, taught, log_target=True, reduction="sum")
    return torch.stack([likelihood, divergence]).cpu().double()
