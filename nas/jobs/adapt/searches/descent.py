"""Descent: removes single calls from the best chain, and moves on at once to a better one."""

from collections.abc import Mapping, Sequence

import numpy as np

from search_spaces.layer_chain.chain import Chain, Rules


class Descent:
    """Tries to remove calls of the best chain, those of the least important layers first.

    Unlike `Removal`, it does not finish a chain's removals when a better chain is found; it comes
    back to them when the better chains have none left. It ignores the rules' edits.
    """

    def __init__(self, rules: Rules, rng: np.random.Generator, weakest: Sequence[int] = ()) -> None:
        self.rules = rules
        self.known: dict[Chain, float] = {}
        self._rank = {layer: rank for rank, layer in enumerate(weakest or rules.full)}
        self._untried: dict[Chain, list[Chain]] = {}

    def propose(self, count: int) -> list[Chain]:
        proposed: dict[Chain, None] = {}
        for chain in sorted(self.known, key=lambda chain: (-self.known[chain], len(chain))):
            untried = self._removals(chain)
            while untried and len(proposed) < count:
                new = untried.pop(0)
                if new not in self.known:
                    proposed.setdefault(new)
            if len(proposed) == count:
                break
        return list(proposed)

    def learn(self, rewards: Mapping[Chain, float]) -> None:
        self.known |= rewards

    def _removals(self, chain: Chain) -> list[Chain]:
        """Return the chains with one call less that were not tried from this chain."""
        if chain not in self._untried:
            order = sorted(range(len(chain)), key=lambda place: self._rank[chain[place]])
            found = dict.fromkeys(chain[:i] + chain[i + 1 :] for i in order)
            is_long = len(chain) > self.rules.shortest
            self._untried[chain] = list(found) if is_long else []
        return self._untried[chain]
