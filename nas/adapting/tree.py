"""Monte Carlo tree search for a chain, of one sample or of all."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from nas.adapting.questions import Judged
from policies.mcts import TreeSearch
from policies.path_sampler import Decision, Path
from search_spaces.decisions import Decisions
from search_spaces.layer_chain.chain import Chain, Rules

PROPOSALS = 2000  # tried for each new chain before a round ends with fewer
By = Literal["gold", "agreement", "confidence"]


class ChainSearch:
    """A tree of edits, and a table of chains: what other edits led to is not evaluated again."""

    def __init__(self, rules: Rules, rng: np.random.Generator) -> None:
        self.rules, self.tree = rules, TreeSearch(rng)
        self.known: dict[Chain, float] = {}
        self._flying: list[tuple[Path, Chain]] = []

    def propose(self, count: int) -> list[Chain]:
        """At most so many chains that are not known yet; then `learn` of all of them."""
        new: dict[Chain, None] = {}
        for _ in range(PROPOSALS * count):
            if len(new) == count or self.tree.root.closed:
                break
            path, chain = self._decide()
            if chain in self.known:
                self.tree.learn(path, self.known[chain])
            else:
                self._flying.append((path, chain))
                new.setdefault(chain)
        return list(new)

    def learn(self, rewards: Mapping[Chain, float]) -> None:
        """The rewards of all proposed chains."""
        self.known |= rewards
        for path, chain in self._flying:
            self.tree.learn(path, self.known[chain])
        self._flying = []

    def _decide(self) -> tuple[Path, Chain]:
        path: list[Decision] = []

        def answer(name: str, options: Sequence[Any]) -> Any:
            index = 0
            if len(options) > 1:
                index = self.tree.choose(tuple(path), name, len(options))
            path.append(Decision(name, index, len(options)))
            return options[index]

        chain = self.rules.decide(Decisions(answer))
        return tuple(path), chain


def reward(judged: Judged, chain: Chain, rules: Rules, full: Judged, by: By = "gold") -> float:
    """Right first, then short, 0.5 to 1; what is wrong is worth less, 0 to 0.5.

    by: what is right: the "gold" answer, "agreement" with the full chain's, or nothing: then
        the "confidence" in its own answer takes its place. Only the first needs the right answers.
    """
    short = 1 - 0.5 * len(chain) / rules.limit
    if by == "confidence":
        return judged.confidence * short
    right = judged.correct if by == "gold" else judged.answer == full.answer
    if right:
        return short
    return 0.5 * judged.likelihood if by == "gold" else 0.0
