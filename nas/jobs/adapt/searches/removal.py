"""Best-first removal: removes single calls from the best chain that was not yet expanded."""

from collections.abc import Mapping, Sequence

import numpy as np

from search_spaces.layer_chain.chain import Chain, Rules


class Removal:
    """Evaluates all chains with one call less than the best chain, then expands the next best.

    It goes back to a longer chain if that has the higher reward. It ignores the rules' edits.
    """

    def __init__(self, rules: Rules, rng: np.random.Generator, weakest: Sequence[int] = ()) -> None:
        self.rules = rules
        self.known: dict[Chain, float] = {}
        self._expanded: set[Chain] = set()
        self._waiting: dict[Chain, None] = {}

    def propose(self, count: int) -> list[Chain]:
        while len(self._waiting) < count and self._expand():
            pass
        proposed = list(self._waiting)[:count]
        for chain in proposed:
            del self._waiting[chain]
        return proposed

    def learn(self, rewards: Mapping[Chain, float]) -> None:
        self.known |= rewards

    def _expand(self) -> bool:
        """Queue the removals from the best chain; returns False if every chain is expanded."""
        closed, shortest = self._expanded, self.rules.shortest
        left = [c for c in self.known if c not in closed and len(c) > shortest]
        if not left:
            return False
        best = max(left, key=lambda chain: (self.known[chain], -len(chain)))
        closed.add(best)
        self._waiting |= {c: None for c in without_one(best) if c not in self.known}
        return True


def without_one(chain: Chain) -> list[Chain]:
    """Return every chain with one call less, each once."""
    return list(dict.fromkeys(chain[:i] + chain[i + 1 :] for i in range(len(chain))))
