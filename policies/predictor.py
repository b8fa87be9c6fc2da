"""Predictor: a model of the finished candidates ranks a pool of new ones."""

from collections.abc import Iterable, Sequence
from itertools import islice
from math import erf, pi

import numpy as np

from policies.encoding import Answer, Answers, Array, Encoding, answers_of, normal_scores
from policies.gaussian_process import GaussianProcess
from policies.path_sampler import Reward
from policies.pool import candidates_near, neighbours
from search_spaces.decisions import Path

CLIMBED = 5  # candidates of the pool whose neighbours join it

History = list[tuple[Answers, float | None]]
SLOPE = 0.05  # weight of the sum of the objectives beside the worst of them


class Predictor:
    """Proposes the neighbour or mutant of the best candidates that may improve on them most.

    As in BANANAS (White et al. 2021, https://arxiv.org/abs/1910.11858, algorithm 1) and BRP-NAS
    (Dudziak et al. 2020, https://arxiv.org/abs/2007.08668, section 4), a model of the finished
    candidates ranks a pool of new ones. They train networks; a Gaussian process costs milliseconds.
    The proposal has the highest expected improvement (Jones et al. 1998,
    https://doi.org/10.1023/A:1008306431147, eq. 15) of a value, which includes its noise. Each fit
    draws its kernel by likelihood. After `patience` results without a better one, a new climb
    begins at random candidates, as in TuRBO (Eriksson et al. 2019,
    https://arxiv.org/abs/1910.01739, section 2). Unlike theirs, the model keeps all results; from
    the second climb on, half of the fits use the climb's own results only.

    Several objectives become one with random weights for each fit (ParEGO: Knowles 2006,
    https://doi.org/10.1109/TEVC.2005.851274, eq. 2), and all results belong to one climb.

    Rewards count by their ranks. A failure counts like the worst reward, a candidate in flight
    like a middling one (the constant liar of Ginsbourger et al. 2010,
    https://doi.org/10.1007/978-3-642-10701-6_6). Training-free scores also count by their ranks;
    the scores of a candidate without any are predicted from its answers by ridge regression. Every
    candidate with offered scores joins the pool.

    startup: results that begin a climb; proposals are random until then.
    patience: results without a better one in a climb before the next climb begins.
    pool: how many neighbours of the climb's best candidates are considered, and as many others.
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
        patience: int = 40,
        pool: int = 120,
        memory: int = 400,
    ) -> None:
        if startup < 2 or min(patience, pool) < 1 or memory < startup:
            raise ValueError(
                "startup must be at least 2, memory at least startup, the others at least 1"
            )
        self.rng = rng
        self.startup, self.patience = startup, patience
        self.pool, self.memory = pool, memory
        self.history: list[tuple[Answers, Reward]] = []
        self.offered: dict[Answers, tuple[float, ...]] = {}
        self.encode = Encoding()
        self.process = GaussianProcess()
        self._seed = int(rng.integers(2**31))  # seeds the pools, so that a record reproduces them
        self._flying: dict[Answers, None] = {}
        self._asked: Answers = ()
        self._answers: dict[str, int] = {}
        self._fitted = 0
        self._weighed: dict[bool, tuple[GaussianProcess, int, int]] = {}  # by whether a climb's own
        self._considered: list[dict[str, int]] = []
        self._gains = np.zeros(0)

    def choose(self, path: Path, name: str, options: int) -> int:
        if all(decision.options == 1 for decision in path):  # nothing is decided yet
            self._begin()
        index = self._answers.get(name)
        if index is None or index >= options:
            index = int(self.rng.integers(options))
        self._asked = (*self._asked, Answer(name, index, options))
        return index

    def learn(self, path: Path, reward: Reward) -> None:
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
        climb = self._climb(self.history)
        fitted = _fitted_of(len(self.history))
        if sum(reward is not None for _, reward in climb) < self.startup:
            return
        if fitted != self._fitted:
            self._fit(fitted)
        if np.isfinite(self._gains).any():
            self._answers = self._considered[int(self._gains.argmax())]

    def _spend(self, record: Answers) -> None:
        """Rule out the considered candidates whose answers may lead to this record."""
        for i, considered in enumerate(self._considered):
            for name, taken, options in record:
                index = considered.get(name, options)
                if index < options and index != taken:
                    break
            else:
                self._gains[i] = -np.inf

    def _fit(self, fitted: int) -> None:
        """Fit the first `fitted` results, and rank a new pool."""
        self._fitted = fitted
        rng = np.random.default_rng([self._seed, fitted])
        history = self.scalarised(self.history[:fitted], rng)
        start, learnt = self._learnt(history, rng)
        half = 2 ** int(np.log2(len(learnt)))
        self.process, *weighed = self._weighed.get(start > 0, (GaussianProcess(), 0, 0))
        if weighed != [start, half]:
            self._weighed[start > 0] = self.process, start, half
            self._weigh_kernels(learnt[:half])
        rewards = self._remembered(learnt)
        flying = list(self._flying)[-self.memory :]
        self.process.draw_kernel(rng)
        x, s = self._encoded([*rewards, *flying])
        y = np.concatenate([normal_scores(list(rewards.values())), np.zeros(len(flying))])
        self.process.fit(x, s, y)
        pool = self._pool(history, rewards, rng)
        gains = self._gains_of(pool, y.max())
        finished = {record for record, _ in history}
        best = [pool[i] for i in np.argsort(-gains, kind="stable")[:CLIMBED]]
        near = dict.fromkeys(other for record in best for other in neighbours(record))
        further = [r for r in near if r not in finished][: self.pool]
        self._considered = [
            {name: taken for name, taken, _ in record} for record in [*pool, *further]
        ]
        self._gains = np.concatenate([gains, self._gains_of(further, y.max())])
        for record in [*(record for record, _ in self.history[fitted:]), *flying]:
            self._spend(record)

    def _learnt(self, history: History, rng: np.random.Generator) -> tuple[int, History]:
        """Return the results to fit, and which is the first: all, or those of the latest climb.

        From the second climb on, half of the fits learn from the climb's own results only, as all
        fits of TuRBO do: a model that the first climb misled leads the search back to it.
        """
        starts = self._starts(self.history[: len(history)])
        own = history[starts[-1] :]
        alone = len(starts) > 1 and rng.random() < 0.5
        enough = sum(reward is not None for _, reward in own) > 1
        return (starts[-1], own) if alone and enough else (0, history)

    def _gains_of(self, records: Sequence[Answers], best: float) -> Array:
        """Return the expected improvement of each record over a value."""
        if not records:
            return np.zeros(0)
        return _expected_improvement(*self.process.predict(*self._encoded(records)), best)

    def _weigh_kernels(self, history: Sequence[tuple[Answers, float | None]]) -> None:
        rewards = self._remembered(history)
        x, s = self._encoded(list(rewards))
        self.process.weigh_kernels(x, s, normal_scores(list(rewards.values())))

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

    def _pool(
        self, history: History, rewards: dict[Answers, float], rng: np.random.Generator
    ) -> list[Answers]:
        """Return new candidates: those offered, those near the climb's best, and random ones."""
        latest = dict(history[-len(self._climb(self.history[: len(history)])) :])
        climb = {a: r for a, r in latest.items() if r is not None} or rewards
        ranked = sorted(climb, key=lambda record: -climb[record])
        finished = {record for record, _ in history}
        near = candidates_near(ranked, finished, self.pool, rng)
        return [r for r in dict.fromkeys([*self.offered, *near]) if r not in finished]

    def _climb(self, history: Sequence[tuple[Answers, Reward]]) -> Sequence[tuple[Answers, Reward]]:
        """Return the results of the latest climb."""
        return history[self._starts(history)[-1] :]

    def _starts(self, history: Sequence[tuple[Answers, Reward]]) -> list[int]:
        """Return the number of the first result of every climb."""
        starts, best, last = [0], -np.inf, 0
        for i, (_, reward) in enumerate(history):
            if isinstance(reward, tuple):
                return [0]
            if reward is not None and reward > best:
                best, last = reward, i
            elif i - last >= self.patience:
                best, last = -np.inf, i + 1
                starts.append(i + 1)
        return starts

    def scalarised(
        self, history: Sequence[tuple[Answers, Reward]], rng: np.random.Generator
    ) -> History:
        """Return the results with one reward each, by random weights if there are several."""
        several = [reward for _, reward in history if isinstance(reward, tuple)]
        if not several:
            return list(history)  # type: ignore[arg-type]
        weights = rng.dirichlet(np.ones(len(several[0])))
        columns = [normal_scores(column) for column in zip(*several, strict=True)]
        lost = weights * np.stack([c.max() - c for c in columns], axis=1)
        single = iter((-lost.max(axis=1) - SLOPE * lost.sum(axis=1)).tolist())
        return [(record, None if reward is None else next(single)) for record, reward in history]

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
    """Return how many results to fit: all of up to 32, later a multiple of 1/16 to 1/32 of them."""
    step = max(1, 2 ** int(np.log2(max(1, results))) // 16)
    return results - results % step


def _expected_improvement(means: Array, deviations: Array, best: float) -> Array:
    """Return how much values exceed `best` on average, counting the others as 0."""
    u = (means - best) / deviations
    above = np.array([0.5 + 0.5 * erf(v / 2**0.5) for v in u])
    return deviations * (u * above + np.exp(-u * u / 2) / (2 * pi) ** 0.5)
