"""Best-first growth: adds single layers to the most promising short chain."""

from collections.abc import Mapping, Sequence

import numpy as np

from nas.jobs.adapt.reward import RIGHT
from search_spaces.layer_chain.chain import Chain, Rules


class Growth:
    """Evaluates single layers, the most important first, then adds layers to the best wrong chain.

    Layers stay in the decoder's order. A chain must stay shorter than the shortest right chain.
    """

    def __init__(self, rules: Rules, rng: np.random.Generator, weakest: Sequence[int] = ()) -> None:
        self.rules = rules
        self.known: dict[Chain, float] = {}
        self._grown: set[Chain] = set()
        layers = tuple(reversed(weakest)) or rules.full
        self._waiting: list[Chain] = [(layer,) for layer in layers if rules.shortest == 1]

    def propose(self, count: int) -> list[Chain]:
        proposed: list[Chain] = []
        while len(proposed) < count and (self._waiting or self._grow()):
            chain = self._waiting.pop(0)
            if chain not in self.known and len(chain) < self._shortest_right:
                proposed.append(chain)
        return proposed

    def learn(self, rewards: Mapping[Chain, float]) -> None:
        self.known |= rewards

    @property
    def _shortest_right(self) -> int:
        right = [len(chain) for chain, reward in self.known.items() if reward >= RIGHT]
        return min([self.rules.layers, *right])

    def _grow(self) -> bool:
        """Queue the best wrong chain with one more layer; returns False if none is left."""
        longest = self._shortest_right - 2
        wrong = [
            chain
            for chain, reward in self.known.items()
            if reward < RIGHT and len(chain) <= longest and chain not in self._grown
        ]
        if not wrong:
            return False
        best = max(wrong, key=lambda chain: (self.known[chain], -len(chain)))
        self._grown.add(best)
        others = [layer for layer in self.rules.full if layer not in best]
        self._waiting = [tuple(sorted((*best, layer))) for layer in others]
        return True
