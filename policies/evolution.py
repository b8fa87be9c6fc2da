"""Regularised evolution: mutate the fittest of a population that drops its oldest member."""

from collections import deque

import numpy as np

from search_spaces.decisions import Path
from search_spaces.options import BINS, DIGITS, NEAR, bin_of, digits_of, question_of


class RegularisedEvolution:
    """Tournament selection, one changed decision per child, removal of the oldest candidate.

    Real et al. 2019, https://arxiv.org/abs/1802.01548, algorithm 1. Proposals are random until the
    population is full. Decisions after the changed one keep the parent's answer if it is still an
    option. A real number changes by a normal step with a deviation of a tenth of its range.

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
        questions = dict.fromkeys(question_of(d.name) for d in parent if d.options > 1)
        if questions:
            self._changed = list(questions)[self.rng.integers(len(questions))]
            if self._changed not in self._parent:
                self._move(self._changed)

    def _move(self, real: str) -> None:
        """Change the digits of a real number by a random step within its range."""
        digits = [index for name, index in self._parent.items() if question_of(name) == real]
        before = after = bin_of(digits)
        while after == before or not 0 <= after < BINS**DIGITS:
            after = before + round(self.rng.normal(0, NEAR * BINS**DIGITS))
        self._parent |= digits_of(real, after)
