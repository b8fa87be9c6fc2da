"""Predictor: a model of the finished candidates ranks a pool of new ones."""

from collections.abc import Iterable, Sequence
from itertools import islice

import numpy as np

from policies.encoding import Answer, Answers, Array, Encoding, answers_of, normal_scores
from policies.gaussian_process import GaussianProcess
from search_spaces.decisions import Path

BOLDNESS = (0.2, 1.0)  # factors of the posterior's deviation; each proposal draws one


class Predictor:
    """Mutates the best candidates and proposes the best mutant by a Gaussian process.

    As in BANANAS (White et al. 2021, https://arxiv.org/abs/1910.11858, algorithm 1) and BRP-NAS
    (Dudziak et al. 2020, https://arxiv.org/abs/2007.08668, section 4), a model of the finished
    candidates ranks a pool of new ones. They train networks; a Gaussian process costs milliseconds.
    Its posterior replaces their ensemble: each proposal is the best of the pool under one posterior
    sample (Thompson 1933). Half of the samples shrink the deviation to a fifth.

    Rewards count by their ranks. A failure counts like the worst reward, a candidate in flight
    like a middling one (the constant liar of Ginsbourger et al. 2010,
    https://doi.org/10.1007/978-3-642-10701-6_6). Training-free scores also count by their ranks;
    the scores of a candidate without any are predicted from its answers by ridge regression. Every
    candidate with offered scores joins the pool.

    startup: results before the first fit; proposals are random until then.
    parents: how many of the best candidates have children.
    pool: how many children are drawn, plus a third as many random candidates. A child changes one
        to three answers.
    considered: how many of the pool, those with the highest mean, take part in the sampling.
    memory: how many results are fitted: half of them the best, half the latest.

    >>> import optuna
    >>> from policies.path_sampler import PathSampler
    >>> optuna.logging.set_verbosity(optuna.logging.WARNING)
    >>> study = optuna.create_study(sampler=PathSampler(Predictor(np.random.default_rng(0))))
    >>> def distance(trial): return sum(trial.suggest_int(f"n{i}", 0, 5) for i in range(4))
    >>> study.optimize(distance, n_trials=80)
    >>> study.best_value
    0.0
    """

    def __init__(
        self,
        rng: np.random.Generator,
        startup: int = 8,
        parents: int = 5,
        pool: int = 150,
        considered: int = 60,
        memory: int = 400,
    ) -> None:
        if startup < 2 or min(parents, pool, considered) < 1 or memory < startup:
            raise ValueError(
                "startup must be at least 2, memory at least startup, the others at least 1"
            )
        self.rng = rng
        self.startup, self.parents, self.pool = startup, parents, pool
        self.considered, self.memory = considered, memory
        self.history: list[tuple[Answers, float | None]] = []
        self.offered: dict[Answers, tuple[float, ...]] = {}
        self.encode = Encoding()
        self.process = GaussianProcess()
        self._seed = int(rng.integers(2**31))  # seeds the pools, so that a record reproduces them
        self._flying: dict[Answers, None] = {}
        self._asked: Answers = ()
        self._answers: dict[str, int] = {}
        self._fitted = self._kernel_of = 0
        self._considered: list[dict[str, int]] = []
        self._means, self._deviations = np.zeros(0), np.zeros((0, 0))

    def choose(self, path: Path, name: str, options: int) -> int:
        if all(decision.options == 1 for decision in path):  # nothing is decided yet
            self._begin()
        index = self._answers.get(name)
        if index is None or index >= options:
            index = int(self.rng.integers(options))
        self._asked = (*self._asked, Answer(name, index, options))
        return index

    def learn(self, path: Path, reward: float | None) -> None:
        record = answers_of(path)
        if record:
            self.history.append((record, reward))
            self._flying.pop(record, None)
            if record == self._asked:
                self._asked = ()
            self._spend(record)

    def offer(self, path: Path, scores: Sequence[float]) -> None:
        """Receive a candidate's training-free scores; ignored if their number differs."""
        if all(len(others) == len(scores) for others in islice(self.offered.values(), 1)):
            self.offered[answers_of(path)] = tuple(scores)

    def _begin(self) -> None:
        """Pick the next proposal; it is random if no answers are picked."""
        if self._asked:
            self._flying[self._asked] = None
            self._spend(self._asked)
        self._asked, self._answers = (), {}
        fitted = _fitted_of(len(self.history))
        if sum(reward is not None for _, reward in self.history[:fitted]) < self.startup:
            return
        if fitted != self._fitted:
            self._fit(fitted)
        noise = self._deviations @ self.rng.standard_normal(len(self._means))
        drawn = self._means + BOLDNESS[self.rng.integers(len(BOLDNESS))] * noise
        if np.isfinite(drawn).any():
            self._answers = self._considered[int(drawn.argmax())]

    def _spend(self, record: Answers) -> None:
        """Rule out the considered candidates whose answers may lead to this record."""
        for i, considered in enumerate(self._considered):
            for name, taken, options in record:
                index = considered.get(name, options)
                if index < options and index != taken:
                    break
            else:
                self._means[i] = -np.inf

    def _fit(self, fitted: int) -> None:
        """Fit the first `fitted` results, and rank a new pool."""
        self._fitted = fitted
        half = 2 ** int(np.log2(fitted))
        if half != self._kernel_of:
            self._kernel_of = half
            self._choose_kernel(self.history[:half])
        rewards = self._remembered(self.history[:fitted])
        flying = list(self._flying)[-self.memory :]
        pool = self._pool(rewards, np.random.default_rng([self._seed, fitted]))
        x, s = self._encoded([*rewards, *flying, *pool])
        known = len(rewards) + len(flying)
        y = np.concatenate([normal_scores(list(rewards.values())), np.zeros(len(flying))])
        self.process.fit(x[:known], s[:known], y)
        means = self.process.mean(x[known:], s[known:])
        best = np.argsort(-means, kind="stable")[: self.considered]
        self._considered = [{name: taken for name, taken, _ in pool[i]} for i in best]
        self._means = means[best]
        self._deviations = self.process.deviations(x[known:][best], s[known:][best])
        for record in [*(record for record, _ in self.history[fitted:]), *flying]:
            self._spend(record)

    def _choose_kernel(self, history: Sequence[tuple[Answers, float | None]]) -> None:
        rewards = self._remembered(history)
        x, s = self._encoded(list(rewards))
        self.process.choose_kernel(x, s, normal_scores(list(rewards.values())))

    def _remembered(self, history: Iterable[tuple[Answers, float | None]]) -> dict[Answers, float]:
        """Return the rewards to fit; a failure has the lowest of them."""
        latest: dict[Answers, float | None] = {}
        for record, reward in history:
            latest.pop(record, None)  # a repeated record moves to the end, among the latest
            latest[record] = reward
        lowest = min((reward for reward in latest.values() if reward is not None), default=0.0)
        rewards = {a: lowest if r is None else r for a, r in latest.items()}
        if len(rewards) <= self.memory:
            return rewards
        half = self.memory // 2
        best = sorted(rewards, key=lambda record: -rewards[record])[:half]
        return {kept: rewards[kept] for kept in dict.fromkeys([*best, *list(rewards)[-half:]])}

    def _pool(self, rewards: dict[Answers, float], rng: np.random.Generator) -> list[Answers]:
        """Return new candidates: those offered, children of the best, and random ones.

        A random candidate takes its decisions from a known one and redraws every answer.
        """
        parents = sorted(rewards, key=lambda record: -rewards[record])[: self.parents]
        pool = dict.fromkeys(self.offered)
        for _ in range(self.pool):
            parent = parents[rng.integers(len(parents))]
            changed = rng.integers(len(parent), size=rng.integers(1, 4))
            pool[_redrawn(parent, changed.tolist(), rng)] = None
        shapes = list(rewards)
        for _ in range(self.pool // 3):
            shape = shapes[rng.integers(len(shapes))]
            pool[_redrawn(shape, range(len(shape)), rng)] = None
        finished = {record for record, _ in self.history[: self._fitted]}
        return [record for record in pool if record not in finished]

    def _encoded(self, records: Sequence[Answers]) -> tuple[Array, Array]:
        """Return features `[records, F]` and scores `[records, S]`, in rows of norm about 1."""
        x, known = np.split(self.encode([*records, *self.offered]), [len(records)])
        if not self.offered:
            return x, np.zeros((len(records), 0))
        columns = zip(*self.offered.values(), strict=True)
        scores = np.stack([normal_scores(column) for column in columns], axis=1)
        ridge = known.T @ known + np.eye(known.shape[1])
        guessed = x @ np.linalg.solve(ridge, known.T @ scores)
        rows = dict(zip(self.offered, scores, strict=True))
        for i, record in enumerate(records):
            guessed[i] = rows.get(record, guessed[i])
        return x, guessed / scores.shape[1] ** 0.5


def _fitted_of(results: int) -> int:
    """Return how many results to fit; new ones wait for a batch of 5, or later of 1/16 of all."""
    step = max(5, 2 ** int(np.log2(max(1, results))) // 16)
    return results - results % step


def _redrawn(record: Answers, changed: Iterable[int], rng: np.random.Generator) -> Answers:
    """Return the record with the answers at `changed` redrawn at random."""
    new, places = list(record), list(changed)
    drawn = rng.integers([record[i].options for i in places]).tolist()
    for i, taken in zip(places, drawn, strict=True):
        new[i] = Answer(new[i].name, taken, new[i].options)
    return tuple(new)
