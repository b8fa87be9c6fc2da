"""Search from both ends: shortens long right chains and lengthens short wrong ones, in turn."""

from collections.abc import Mapping, Sequence

import numpy as np

from nas.jobs.adapt.reward import RIGHT
from nas.jobs.adapt.searches.beam import Beam
from nas.jobs.adapt.searches.growth import Growth
from nas.jobs.adapt.searches.removal import Removal
from search_spaces.layer_chain.chain import Chain, Rules

OPENING = 7  # chains


class BothEnds:
    """Takes chains from `Removal` and `Growth` in turn; from `Beam` too until a chain is right.

    It starts with chains of evenly spread lengths that keep the most important layers.
    """

    def __init__(self, rules: Rules, rng: np.random.Generator, weakest: Sequence[int] = ()) -> None:
        self._removal, self._growth, self._beam = (
            search(rules, rng, weakest) for search in (Removal, Growth, Beam)
        )
        self.known: dict[Chain, float] = {}
        removed = np.linspace(1, len(weakest) - rules.shortest, OPENING).round().astype(int)
        self._opening = [tuple(sorted(weakest[n:])) for n in dict.fromkeys(removed) if weakest]

    def propose(self, count: int) -> list[Chain]:
        opening, self._opening = self._opening[:count], self._opening[count:]
        proposed = dict.fromkeys(chain for chain in opening if chain not in self.known)
        is_right = any(reward >= RIGHT for reward in self.known.values())
        sources = [self._removal, self._growth, *([] if is_right else [self._beam])]
        while len(proposed) < count and sources:
            source = sources.pop(0)
            for chain in source.propose(1):
                sources.append(source)
                if chain not in self.known:
                    proposed.setdefault(chain)
        return list(proposed)

    def learn(self, rewards: Mapping[Chain, float]) -> None:
        self.known |= rewards
        for search in (self._removal, self._growth, self._beam):
            search.learn(rewards)
