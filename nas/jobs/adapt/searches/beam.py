"""Beam search over edits: tries random neighbours of the best few chains."""

from collections.abc import Mapping, Sequence
from itertools import islice

import numpy as np

from search_spaces.layer_chain.chain import Chain, Rules


class Beam:
    """Tries neighbours of the `width` best chains in turn, in random order.

    If all their neighbours are known, it continues with the next best chains.
    """

    width = 4

    def __init__(self, rules: Rules, rng: np.random.Generator, weakest: Sequence[int] = ()) -> None:
        self.rules, self.rng = rules, rng
        self.known: dict[Chain, float] = {}
        self._untried: dict[Chain, list[Chain]] = {}

    def propose(self, count: int) -> list[Chain]:
        order = sorted(self.known, key=lambda chain: (-self.known[chain], len(chain)))
        proposed: dict[Chain, None] = {}
        while len(proposed) < count:
            open_ = self._first_open(order)
            if not open_:
                break
            for chain in open_[: count - len(proposed)]:
                new = self._neighbours(chain).pop()
                if new not in self.known:
                    proposed.setdefault(new)
        return list(proposed)

    def learn(self, rewards: Mapping[Chain, float]) -> None:
        self.known |= rewards

    def _first_open(self, order: Sequence[Chain]) -> list[Chain]:
        """Return the best chains with untried neighbours, from the beam if it has any."""
        beam = [chain for chain in order[: self.width] if self._neighbours(chain)]
        others = (chain for chain in order[self.width :] if self._neighbours(chain))
        return beam or list(islice(others, self.width))

    def _neighbours(self, chain: Chain) -> list[Chain]:
        """Return the neighbours of a chain that were not tried from it."""
        if chain not in self._untried:
            found = self.rules.neighbours(chain)
            self._untried[chain] = [found[i] for i in self.rng.permutation(len(found))]
        return self._untried[chain]


class Greedy(Beam):
    """Tries neighbours of the best chain only: local search that moves at the first improvement."""

    width = 1
