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
    layers. If the rules do not skip, all chains come from `Beam`. The turns were chosen on the
    small decoders of tests/benchmarks/chain_searches.py.
    """

    def __init__(self, rules: Rules, rng: np.random.Generator, weakest: Sequence[int] = ()) -> None:
        self._searches = {search: search(rules, rng, weakest) for search in (Descent, Growth, Beam)}
        self.known: dict[Chain, float] = {}
        self._removes, self._turn = any(not edit.times for edit in rules.edits), 0
        most = len(weakest) - rules.shortest if self._removes else 0
        removed = np.linspace(1, max(most, 1), OPENING).round().astype(int)
        self._opening = [tuple(sorted(weakest[n:])) for n in dict.fromkeys(removed) if n <= most]

    def propose(self, count: int) -> list[Chain]:
        opening, self._opening = self._opening[:count], self._opening[count:]
        proposed = dict.fromkeys(chain for chain in opening if chain not in self.known)
        turns, without = self._turns(), 0
        while len(proposed) < count and without < len(turns):
            new = self._searches[turns[self._turn % len(turns)]].propose(1)
            self._turn, without = self._turn + 1, 0 if new else without + 1
            proposed |= dict.fromkeys(chain for chain in new if chain not in self.known)
        return list(proposed)

    def _turns(self) -> Sequence[type[Descent | Growth | Beam]]:
        if not self._removes:
            return (Beam,)
        is_right = any(reward >= RIGHT for reward in self.known.values())
        return TURNS if is_right else TURNS_IF_WRONG

    def learn(self, rewards: Mapping[Chain, float]) -> None:
        self.known |= rewards
        for search in self._searches.values():
            search.learn(rewards)
