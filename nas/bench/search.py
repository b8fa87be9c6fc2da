"""Replays controllers on a table of trained architectures: how soon do they find a good one?"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any, cast

import numpy as np
from optuna.samplers import BaseSampler, RandomSampler
from scipy.stats import rankdata

from nas.bench.replays import Replay, replayed_rows
from nas.bench.tables import Table
from nas.core.errors import BadInput
from nas.core.registry import create_controller
from nas.loop.controller import Controller, Value
from nas.loop.proposals import REDRAWS
from nas.loop.samplers import warmed
from policies.path_sampler import PathSampler, Policy, UsesScores
from search_spaces.decisions import (
    Decision,
    Decisions,
    InvalidArchitecture,
    Path,
    by_policy,
    replayed,
)
from search_spaces.space import SearchSpace

Tell = Callable[[Any], None]  # takes a value, one per objective; None for a failure
Proposals = Iterator[tuple[int | None, Tell]]  # a row; None if the table lacks the proposal
MOST_REJECTIONS = 10_000  # consecutive proposals that the table may lack


@dataclass(frozen=True, slots=True)
class WarmStart:
    """A start that trains the architectures with the best training-free scores first.

    Abdelfattah et al. 2021, section 4, https://arxiv.org/abs/2101.08134

    scores: the scores whose ranks are added; higher is better.
    pool: the number of random architectures to score.
    best: the number of them to train before the controller proposes.
    """

    scores: tuple[str, ...] = ("synflow", "jacov", "nwot")
    pool: int = 1000
    best: int = 50

    def choose(self, table: Table, rng: np.random.Generator) -> list[int]:
        """Return rows of the table in the order in which to train them."""
        known = table.scored(self.scores)
        pool = rng.choice(known, min(self.pool, len(known)), replace=False)
        columns = [[table.rows[i].scores[name] for i in pool] for name in self.scores]
        ranks = sum(rankdata(column) for column in columns)
        return [int(row) for row in pool[np.argsort(-ranks, kind="stable")]]


def replay(
    name: str,
    table: Table,
    trained: int,
    seed: int,
    warm: WarmStart | None = None,
    options: Mapping[str, Any] | None = None,
    single: bool = False,
) -> Replay:
    """Search a table until `trained` models are trained, or its controller gives up.

    name: a controller, `warm-` and a controller, or `ranked`: a pool in the order of its scores.
    single: a model's reward is the result of one random training seed, drawn once per replay,
        instead of the mean over the seeds.

    As in a run's driver, a proposal that was trained before gets its value again and costs
    nothing, up to 20 times in a row; an invalid one is reported as failed.
    """
    rng = np.random.default_rng(seed)
    rewards = table.drawn(np.random.default_rng([seed, 1])) if single else table.rewards
    proposals = _proposals(name, table, rng, warm or WarmStart(), options or {})
    rows, seconds = trained_rows(
        name, table, proposals, lambda row: float(rewards[row]), trained, int(rewards.argmax())
    )
    return replayed_rows(table, rows, rewards, trained, seconds)


def trained_rows(
    name: str,
    table: Table,
    proposals: Proposals,
    value: Callable[[int], Value],
    trained: int,
    best: int | None = None,
) -> tuple[list[int], float]:
    """Return the rows that a search trains, and the processor time of a proposal in seconds.

    value: what training a row tells the search.
    best: a row after which the rest does not matter.
    """
    rows: list[int] = []
    seen: set[int] = set()
    asked, repeats, rejections = 0, 0, 0
    started = time.process_time()
    for row, tell in proposals:
        asked += 1
        if row is None:
            tell(None)
            rejections += 1
            if rejections == MOST_REJECTIONS:
                raise BadInput(
                    f"{name}: {rejections} proposals in a row are not in {table.name}: use random"
                )
            continue
        rejections = 0
        tell(value(row))
        repeats = repeats + 1 if row in seen else 0
        if 0 < repeats <= REDRAWS:
            continue
        repeats = 0
        seen.add(row)
        rows.append(row)
        if len(rows) == trained or row == best:
            break
    return rows, (time.process_time() - started) / asked


def _proposals(
    name: str,
    table: Table,
    rng: np.random.Generator,
    warm: WarmStart,
    options: Mapping[str, Any],
) -> Proposals:
    if name == "ranked":
        return ((row, _ignore) for row in warm.choose(table, rng))
    if not table.has_decisions and name != "random":
        raise BadInput(
            f"{table.name} has rows without decisions: use the controllers random or ranked"
        )
    if not name.startswith("warm-"):
        return of_sampler(create_controller(name, rng, options), table, rng)
    inner = name.removeprefix("warm-")
    pool = warm.choose(table, rng)
    sampler = create_controller(inner, rng, warmed(inner, options, warm.best))
    if not isinstance(sampler, PathSampler):
        return _warm_study(Controller(sampler, maximise=True), table, pool[: warm.best])
    if isinstance(sampler.policy, UsesScores):
        for row in pool:
            scores = [table.rows[row].scores[name] for name in warm.scores]
            sampler.policy.offer(_path(table, row), scores)
    return _warm(sampler.policy, table, pool[: warm.best])


def of_sampler(sampler: BaseSampler, table: Table, rng: np.random.Generator) -> Proposals:
    if isinstance(sampler, PathSampler):
        return of_policy(sampler.policy, table)
    if isinstance(sampler, RandomSampler):
        return of_policy(_Uniform(rng), table)
    return of_optuna(Controller(sampler, maximise=True), table)


def _warm(policy: Policy, table: Table, first: Sequence[int]) -> Proposals:
    for row in first:
        yield row, partial(policy.learn, _path(table, row))
    yield from of_policy(policy, table)


def _warm_study(controller: Controller, table: Table, first: Sequence[int]) -> Proposals:
    for row in first:
        controller.enqueue(table.rows[row].answers)
        proposal = controller.propose(cast(SearchSpace, table))
        yield row, partial(controller.tell, proposal.token)
    yield from of_optuna(controller, table)


def _path(table: Table, row: int) -> Path:
    """Return the decisions that lead to a row."""
    path: list[Decision] = []
    table.decide(Decisions(partial(_noted, path, replayed(table.rows[row].answers))))
    return tuple(path)


def _noted(path: list[Decision], known: Decisions, name: str, options: Sequence[Any]) -> Any:
    answer = known.choose(name, options)
    path.append(Decision(name, options.index(answer), len(options)))
    return answer


def of_policy(policy: Policy, table: Table) -> Proposals:
    """Yield what a `PathSampler` of the policy would propose, without the cost of a study."""
    while True:
        decisions, path = by_policy(policy.choose)
        try:
            row = table.decide(decisions)
        except InvalidArchitecture:
            row = None
        yield row, partial(policy.learn, tuple(path))


def of_optuna(controller: Controller, table: Table) -> Proposals:
    for _ in count():
        proposal = controller.propose(cast(SearchSpace, table))
        yield cast(int, proposal.architecture), partial(controller.tell, proposal.token)


class _Uniform:
    """A uniform policy, equal in distribution to Optuna's random sampler."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng

    def choose(self, path: Path, name: str, options: int) -> int:
        return int(self.rng.integers(options))

    def learn(self, path: Path, reward: float | None) -> None: ...


def _ignore(value: object) -> None: ...
