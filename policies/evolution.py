"""Regularised evolution: mutate the fittest of a population that drops its oldest member."""

from collections import deque

import numpy as np

from search_spaces.decisions import Path


class RegularisedEvolution:
    """Tournament selection, one changed decision per child, removal of the oldest candidate.

    Real et al. 2019, https://arxiv.org/abs/1802.01548, algorithm 1. Proposals are random until the
    population is full. Decisions after the changed one keep the parent's answer if it is still an
    option.

    population: how many of the latest candidates can be parents (P in the paper).
    tournament: how many of them compete to be the parent (S in the paper).
    """

    def __init__(self, rng: np.random.Generator, population: int = 20, tournament: int = 5) -> None:
        if not 1 <= tournament <= population:
            raise ValueError(
                f"tournament must be between 1 and population ({population}), not {tournament}"
            )
        self.rng = rng
        self.tournament = tournament
        self.alive: deque[tuple[Path, float]] = deque(maxlen=population)
        self._parent: dict[str, int] = {}
        self._changed: str | None = None

    def choose(self, path: Path, name: str, options: int) -> int:
        if all(decision.options == 1 for decision in path):  # nothing is decided yet
            self._select()
        index = self._parent.get(name)
        if index is None or index >= options:
            return int(self.rng.integers(options))
        if name == self._changed and options > 1:
            other = int(self.rng.integers(options - 1))
            return other + (other >= index)
        return index

    def learn(self, path: Path, reward: float | None) -> None:
        if reward is not None and path:
            self.alive.append((path, reward))

    def _select(self) -> None:
        """Pick the parent of the next child and the decision that the child changes."""
        self._parent, self._changed = {}, None
        if len(self.alive) < (self.alive.maxlen or 0):
            return
        entrants = self.rng.choice(len(self.alive), self.tournament, replace=False)
        parent, _ = max((self.alive[i] for i in entrants), key=lambda entry: entry[1])
        self._parent = {d.name: d.index for d in parent}
        open_names = [d.name for d in parent if d.options > 1]
        if open_names:
            self._changed = open_names[self.rng.integers(len(open_names))]
