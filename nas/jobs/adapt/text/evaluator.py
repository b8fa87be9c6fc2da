"""Measures chains on plain text: the loss of the next token, and the distance to the full chain."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.jobs.adapt.healing import logits_of
from nas.jobs.adapt.influence import Influence, influence_of
from search_spaces.layer_chain.chain import Chain
from search_spaces.layer_chain.decoder import Decoder
from search_spaces.layer_chain.trie import PrefixTrie


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

    memory_bytes: the most memory for hidden states, see `PrefixTrie`.
    """

    def __init__(self, decoder: Decoder, windows: Tensor, memory_bytes: int) -> None:
        self.decoder, self.windows = decoder, windows
        self.trie = PrefixTrie(decoder, windows, memory_bytes)
        self.known: dict[Chain, TextGrade] = {}

    def __call__(self, chains: Iterable[Chain]) -> list[TextGrade]:
        chains = list(chains)
        new = [chain for chain in dict.fromkeys(chains) if chain not in self.known]
        rows = range(len(self.windows))
        sums = self.trie.run([(row, chain) for chain in new for row in rows], self._read)
        tokens = self.windows[:, 1:].numel()
        for place, chain in enumerate(new):
            of_chain = torch.stack(sums[place * len(rows) : (place + 1) * len(rows)])
            likelihood, divergence = (of_chain.sum(dim=0) / tokens).tolist()
            self.known[chain] = TextGrade(likelihood, divergence)
        return [self.known[chain] for chain in chains]

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

    def _read(self, hidden: Tensor, rows: list[int]) -> Iterator[Tensor]:
        for state, row in zip(hidden, rows, strict=True):
            learnt, taught = self._logits(state[:-1]), self._logits(self._full[row])
            yield sums(learnt, taught, self.windows[row])

    def _logits(self, state: Tensor) -> Tensor:
        """Return `[T, tokens]` from hidden states `[T, d]`."""
        return self.decoder.logits(state[None])[0]


@torch.no_grad()
def grade_network(network: nn.Module, whole: nn.Module, windows: Tensor) -> TextGrade:
    """Grade a network by itself, with the divergence from the whole one."""
    found = [
        sums(logits_of(network, row[None])[0, :-1], logits_of(whole, row[None])[0, :-1], row)
        for row in windows
    ]
    return TextGrade(*(torch.stack(found).sum(dim=0) / windows[:, 1:].numel()).tolist())


def sums(learnt: Tensor, taught: Tensor, tokens: Tensor) -> Tensor:
    """Return the log-likelihood of the next tokens, and the divergence, summed, as `[2]`.

    learnt, taught: logits `[T - 1, tokens]`. tokens: `[T]`.
    """
    learnt, taught = (logits.float().log_softmax(dim=-1) for logits in (learnt, taught))
    likelihood = learnt.gather(1, tokens[1:, None]).sum()
    divergence = functional.kl_div(learnt, taught, log_target=True, reduction="sum")
    return torch.stack([likelihood, divergence]).double()
