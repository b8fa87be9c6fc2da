"""The search protocol of CoLa (Li et al. 2025, https://arxiv.org/abs/2507.07996).

A Monte Carlo tree whose nodes are chains and whose edges are edits. The constants are those of the
only public code of this search, Dr.LLM's (Heakl et al. 2025, https://arxiv.org/abs/2510.12773).
There, a node never gets a second child; here, a node gets another one whenever its visits grow
fourfold.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from nas.jobs.adapt.reward import RIGHT
from search_spaces.layer_chain.chain import Chain, Rules

EXPLORATION, LENGTH_PRICE, AT_RANDOM = 1.8, 3.0, 0.1
ATTEMPTS = 200  # for each new chain


@dataclass(slots=True)
class Node:
    """A chain with its visits, how many of them found a right chain, and its children."""

    chain: Chain
    untried: list[Chain]
    visits: int = 0
    right: int = 0
    children: list["Node"] = field(default_factory=list)


class Cola:
    """Rewards a right chain with 1 and any other with 0; long chains are visited less.

    It ends at the first right chain if the full chain is wrong.
    """

    def __init__(self, rules: Rules, rng: np.random.Generator, weakest: Sequence[int] = ()) -> None:
        self.rules, self.rng = rules, rng
        self.root = self._node(rules.full)
        self.known: dict[Chain, bool] = {}
        self._flying: list[list[Node]] = []

    def propose(self, count: int) -> list[Chain]:
        proposed: dict[Chain, None] = {}
        if not self.known[self.rules.full] and any(self.known.values()):
            return []
        for _ in range(ATTEMPTS * count):
            if len(proposed) == count:
                break
            path = self._descend()
            for node in path:
                node.visits += 1
            if path[-1].chain in self.known:
                self._credit(path)
            else:
                self._flying.append(path)
                proposed.setdefault(path[-1].chain)
        return list(proposed)

    def learn(self, rewards: Mapping[Chain, float]) -> None:
        self.known |= {chain: reward >= RIGHT for chain, reward in rewards.items()}
        for path in self._flying:
            self._credit(path)
        self._flying = []

    def _credit(self, path: Sequence[Node]) -> None:
        for node in path:
            node.right += self.known[path[-1].chain]

    def _descend(self) -> list[Node]:
        """Return the nodes from the root to a new child, or to a node without one."""
        path = [self.root]
        while len(path) <= self.rules.most:
            node = path[-1]
            if node.untried and len(node.children) <= np.log2(node.visits + 1) / 2:
                node.children.append(self._node(node.untried.pop()))
                return [*path, node.children[-1]]
            if not node.children:
                break
            path.append(self._best(node))
        return path

    def _best(self, node: Node) -> Node:
        if self.rng.random() < AT_RANDOM:
            return node.children[self.rng.integers(len(node.children))]
        log = np.log(node.visits + 1)

        def bound(child: Node) -> float:
            visits = max(1, child.visits)
            price = LENGTH_PRICE * len(child.chain) / self.rules.layers
            return child.right / visits + EXPLORATION * float(log / visits) ** 0.5 - price

        return max(node.children, key=bound)

    def _node(self, chain: Chain) -> Node:
        found = self.rules.neighbours(chain)
        return Node(chain, [found[i] for i in self.rng.permutation(len(found))])
