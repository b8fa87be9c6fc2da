"""Replays rungs on learning curves: how many hours of training halving saves."""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.bench.curves import mean_and_error
from nas.bench.recipes import Trained
from nas.core.errors import BadInput
from nas.loop.halving import Rungs, halved
from nas.reporting.table import aligned


@dataclass(frozen=True, slots=True)
class Replay:
    """The cost and regret of a search with rungs, one entry per seed.

    hours: the time until the last training ends, with the workers running in parallel.
    regret: the best trained candidate's last test loss, minus the best of all candidates.
    """

    hours: NDArray[np.float64]
    regret: NDArray[np.float64]


def with_curves(recipes: Sequence[Trained]) -> list[Trained]:
    """Return the recipes with complete curves; raises `BadInput` if there are none."""
    longest = max(len(recipe.curve) for recipe in recipes)
    known = [r for r in recipes if r.seconds is not None and len(r.curve) == longest > 0]
    if not known:
        raise BadInput("no recipe of the table has both val_losses and wall_per_epoch: add them")
    return known


def replay(
    recipes: Sequence[Trained],
    candidates: int,
    rungs: int,
    reduction: int,
    workers: int,
    seeds: Sequence[int],
) -> Replay:
    """Train random candidates in rungs on a virtual clock, promoted as a run's driver does."""
    epochs = len(recipes[0].curve)
    steps = [max(1, epochs // reduction ** (rungs - 1 - i)) for i in range(rungs)]
    plan = list(zip(steps, halved(candidates, rungs, reduction), strict=True))
    hours, regrets = [], []
    for seed in seeds:
        drawn = np.random.default_rng(seed).choice(len(recipes), candidates, replace=False)
        chosen = [recipes[i] for i in drawn]
        ended = dict(_trainings(chosen, plan, workers))
        hours.append(max(ended.values()) / 3600)
        best = min(chosen[n].loss for n, step in ended if step == epochs)
        regrets.append(best - min(recipe.loss for recipe in chosen))
    return Replay(np.array(hours), np.array(regrets))


def _trainings(
    chosen: Sequence[Trained], plan: Sequence[tuple[int, int]], workers: int
) -> Iterator[tuple[tuple[int, int], float]]:
    """Yield every training as ((candidate, epochs), end in seconds), in the order of the ends."""
    stages = Rungs(plan)
    for n in range(len(chosen)):
        stages.enter(n, n)
    before = dict(zip((step for step, _ in plan), (0, *(step for step, _ in plan)), strict=False))
    running: list[tuple[float, int, int]] = []
    waiting: list[tuple[int, int]] = []
    now = 0.0
    while True:
        waiting = sorted([*waiting, *stages.due(0)], key=lambda training: training[1])
        while waiting and len(running) < workers:
            n, step = waiting.pop(0)
            seconds = (step - before[step]) * (chosen[n].seconds or 0.0)
            heapq.heappush(running, (now + seconds, n, step))
        if not running:
            return
        now, n, step = heapq.heappop(running)
        stages.finish(n, step, chosen[n].curve[step - 1])
        yield (n, step), now


def as_json(replays: dict[str, Replay]) -> dict[str, Any]:
    return {
        name: {"hours": mean_and_error(r.hours), "regret": mean_and_error(r.regret)}
        for name, r in replays.items()
    }


def table(replays: dict[str, Replay]) -> str:
    """Return a table with a row per plan: hours and regret, mean ± standard error."""
    rows = [["rungs", "hours", "regret"]]
    for name, r in replays.items():
        cells = [mean_and_error(values) for values in (r.hours, r.regret)]
        rows.append([name, *(f"{mean:.3f} ± {error:.3f}" for mean, error in cells)])
    return "\n".join(aligned(rows))
