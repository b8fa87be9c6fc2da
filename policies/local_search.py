"""Local search: try the neighbours of the best, move to a better one, restart at an optimum."""

import numpy as np

from search_spaces.decisions import Decision, Path

Change = tuple[str, int]  # a decision's name, and the index it takes instead


class LocalSearch:
    """Hill climbing over single changed decisions, with random restarts.

    White et al. 2021, https://arxiv.org/abs/2005.02960, algorithm 1, in the variant that moves to
    the first better neighbour instead of the best one. Decisions after the changed one keep the
    incumbent's answer if it is still an option, and are random otherwise. Neighbours that were
    tried before are skipped. While the last neighbours are being evaluated, proposals are random.

    >>> import numpy as np, optuna
    >>> from policies.path_sampler import PathSampler
    >>> optuna.logging.set_verbosity(optuna.logging.WARNING)
    >>> sampler = PathSampler(LocalSearch(np.random.default_rng(0)))
    >>> study = optuna.create_study(sampler=sampler)
    >>> def distance(trial): return sum(trial.suggest_int(f"n{i}", 0, 5) for i in range(4))
    >>> study.optimize(distance, n_trials=80)
    >>> study.best_value
    0.0
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.incumbent: Path = ()
        self.reward = -np.inf
        self.tried: set[Path] = set()
        self.untried: dict[Change, None] = {}  # ordered, so that the seed decides the choice
        self._flying: set[Change] = set()
        self._answers: dict[str, int] = {}

    def choose(self, path: Path, name: str, options: int) -> int:
        if all(decision.options == 1 for decision in path):  # nothing is decided yet
            self._select()
        index = self._answers.get(name)
        if index is None or index >= options:
            return int(self.rng.integers(options))
        return index

    def learn(self, path: Path, reward: float | None) -> None:
        if not path:
            return
        self.tried.add(path)
        if reward is not None and (not self.incumbent or reward > self.reward):
            self._move(path, reward)
            return
        change = _only_change(self.incumbent, path)
        if change is not None:
            self.untried.pop(change, None)
            self._flying.discard(change)
        if self.incumbent and not self.untried:
            self._move((), -np.inf)  # an optimum: the next result becomes the incumbent

    def _move(self, path: Path, reward: float) -> None:
        self.incumbent, self.reward = path, reward
        self.untried = {change: None for change in _changes(path, self.tried)}
        self._flying = set()

    def _select(self) -> None:
        """Pick the neighbour to propose; if none is left, the proposal is random."""
        self._answers = {}
        free = [change for change in self.untried if change not in self._flying]
        if free:
            name, index = free[self.rng.integers(len(free))]
            self._flying.add((name, index))
            self._answers = {d.name: d.index for d in self.incumbent} | {name: index}


def _changes(path: Path, tried: set[Path]) -> list[Change]:
    """Return the single changes of a path that do not lead to a path already tried."""
    return [
        (decision.name, index)
        for i, decision in enumerate(path)
        for index in range(decision.options)
        if index != decision.index
        and (*path[:i], Decision(decision.name, index, decision.options), *path[i + 1 :])
        not in tried
    ]


def _only_change(old: Path, new: Path) -> Change | None:
    """Return the first change between two paths if all later decisions they share agree."""
    answers = {d.name: d for d in old}
    changed = [d for d in new if d.name in answers and d.index != answers[d.name].index]
    kept = [d for d in changed[1:] if answers[d.name].index < d.options]
    return (changed[0].name, changed[0].index) if changed and not kept else None
