"""The interface of chain searches, and the built-in searches by name."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np

from nas.jobs.adapt.config import Method
from nas.jobs.adapt.searches.beam import Beam, Greedy
from nas.jobs.adapt.searches.both_ends import BothEnds
from nas.jobs.adapt.searches.cola import Cola
from nas.jobs.adapt.searches.removal import Removal
from nas.jobs.adapt.searches.tree import TreeOfEdits
from search_spaces.layer_chain.chain import Chain, Rules


class ChainSearch(Protocol):
    """Proposes chains for one sample, or for all samples together.

    It first learns the reward of the full chain.
    """

    def propose(self, count: int) -> list[Chain]:
        """Return up to `count` new chains, none if the search is over; call `learn` next."""
        ...

    def learn(self, rewards: Mapping[Chain, float]) -> None:
        """Learn the rewards of all proposed chains."""
        ...


# Each takes the rules, a random generator, and all layers, the least important first.
SEARCHES: dict[Method, Callable[[Rules, np.random.Generator, Sequence[int]], ChainSearch]] = {
    "both-ends": BothEnds,
    "removal": Removal,
    "greedy": Greedy,
    "beam": Beam,
    "tree": TreeOfEdits,
    "cola": Cola,
}
