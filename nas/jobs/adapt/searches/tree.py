"""Monte Carlo tree search for a chain, for one sample or for all samples together."""

from collections.abc import Mapping, Sequence

import numpy as np

from policies.mcts import TreeSearch
from search_spaces.decisions import Choose, Path, by_policy
from search_spaces.layer_chain.chain import Chain, Edit, Rules

SKIP = Edit(1, 0)
PROPOSALS = 2000  # attempts per new chain before a round ends with fewer


class TreeOfEdits:
    """A tree of edits with a table of chains, so a chain reached by other edits is not run again.

    weakest: layers, the least important first; the search starts with chains that skip the first
        of them, the first two, and so on.
    """

    def __init__(self, rules: Rules, rng: np.random.Generator, weakest: Sequence[int] = ()) -> None:
        self.rules, self.tree = rules, TreeSearch(rng)
        self.known: dict[Chain, float] = {}
        self._flying: list[tuple[Path, Chain]] = []
        counts = range(1, 1 + min(rules.most, len(weakest), rules.layers - rules.shortest))
        self._opening = [weakest[:count] for count in counts] if SKIP in rules.edits else []

    def propose(self, count: int) -> list[Chain]:
        """Return up to `count` new chains; call `learn` with their rewards next."""
        new: dict[Chain, None] = {}
        for _ in range(PROPOSALS * count):
            if len(new) == count or self.tree.root.closed:
                break
            path, chain = self._skipping(self._opening.pop(0)) if self._opening else self._decide()
            if chain in self.known:
                self.tree.learn(path, self.known[chain])
            else:
                self._flying.append((path, chain))
                new.setdefault(chain)
        return list(new)

    def learn(self, rewards: Mapping[Chain, float]) -> None:
        """Learn the rewards of all proposed chains."""
        self.known |= rewards
        for path, chain in self._flying:
            self.tree.learn(path, self.known[chain])
        self._flying = []

    def _decide(self) -> tuple[Path, Chain]:
        return self._answered(self.tree.choose)

    def _skipping(self, layers: Sequence[int]) -> tuple[Path, Chain]:
        """Return the decisions that skip these layers, and the chain that is left."""
        chain, answers = self.rules.full, []
        for layer in layers:
            answers.append(1 + self.rules.fitting(chain).index(SKIP))
            answers.append(SKIP.starts(chain).index(chain.index(layer)))
            chain = SKIP.apply(chain, chain.index(layer))
        given = iter(answers)
        return self._answered(lambda *_: next(given, 0))

    def _answered(self, choose: Choose) -> tuple[Path, Chain]:
        decisions, path = by_policy(choose)
        chain = self.rules.decide(decisions)
        return tuple(path), chain
