"""Search from both ends: shortens good chains and lengthens promising short ones, in turn."""

from collections.abc import Mapping, Sequence

import numpy as np

from nas.jobs.adapt.reward import RIGHT
from nas.jobs.adapt.searches.beam import Beam
from nas.jobs.adapt.searches.descent import Descent
from nas.jobs.adapt.searches.growth import Growth
from search_spaces.layer_chain.chain import Chain, Rules

OPENING = 7  # chains
TURNS = (Descent, Growth)
TURNS_IF_WRONG = (*[Descent] * 4, Growth, *[Descent] * 3, Beam)  # while no chain is right


class BothEnds:
    """Takes chains from `Descent` and `Growth` in turn.

    While no chain is right, few come from `Growth`, and few from `Beam`, which can also repeat
    layers. The search starts with chains of evenly spread lengths that keep the most important
    layers. The turns were chosen on the small decoders of tests/benchmarks/chain_searches.py.
    """

    def __init__(self, rules: Rules, rng: np.random.Generator, weakest: Sequence[int] = ()) -> None:
        self._searches = {search: search(rules, rng, weakest) for search in (Descent, Growth, Beam)}
        self.known: dict[Chain, float] = {}
        removed = np.linspace(1, len(weakest) - rules.shortest, OPENING).round().astype(int)
        self._opening = [tuple(sorted(weakest[n:])) for n in dict.fromkeys(removed) if weakest]
        self._turn = 0

    def propose(self, count: int) -> list[Chain]:
        opening, self._opening = self._opening[:count], self._opening[count:]
        proposed = dict.fromkeys(chain for chain in opening if chain not in self.known)
        is_right = any(reward >= RIGHT for reward in self.known.values())
        turns, without = TURNS if is_right else TURNS_IF_WRONG, 0
        while len(proposed) < count and without < len(turns):
            new = self._searches[turns[self._turn % len(turns)]].propose(1)
            self._turn, without = self._turn + 1, 0 if new else without + 1
            proposed |= dict.fromkeys(chain for chain in new if chain not in self.known)
        return list(proposed)

    def learn(self, rewards: Mapping[Chain, float]) -> None:
        self.known |= rewards
        for search in self._searches.values():
            search.learn(rewards)
