"""What a replay on a table found, and how soon."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.bench.bootstrap import with_interval
from nas.bench.tables import Table

Replays = Mapping[str, Sequence["Replay"]]  # controller → one replay per seed


@dataclass(frozen=True, slots=True)
class Replay:
    """One search on a table.

    regret: the table's best reward minus that of the best model so far, after 1 to `trained`
        trained models. The best so far is chosen by what the search saw; both count by their means
        over training seeds.
    hours: the training time so far, after 1 to `trained` models; NaN if the table has no times.
    found: how many models were trained until the best of the table was among them; None if never.
    seconds: processor time of a proposal, and of learning its result.
    """

    regret: NDArray[np.float64]
    hours: NDArray[np.float64]
    found: int | None
    seconds: float


def replayed_rows(
    table: Table,
    rows: Sequence[int],
    rewards: NDArray[np.float64],
    trained: int,
    seconds: float,
) -> Replay:
    """Return the replay that trained these rows in order; its last entry is repeated at the end.

    rewards: what the search saw for each row of the table, `[rows]`.
    """
    seen = rewards[list(rows)]
    best = np.maximum.accumulate(seen)
    chosen = np.array(rows)[np.maximum.accumulate(np.where(seen >= best, np.arange(len(seen)), 0))]
    ended = np.pad(table.rewards[chosen], (0, trained - len(rows)), mode="edge")
    hours = np.cumsum([table.rows[row].seconds for row in rows]) / 3600
    hits = np.flatnonzero(seen == rewards.max())
    return Replay(
        regret=table.best - ended,
        hours=np.pad(hours, (0, trained - len(rows)), mode="edge"),
        found=int(hits[0]) + 1 if len(hits) else None,
        seconds=seconds,
    )


@dataclass(frozen=True, slots=True)
class Finding:
    """How soon a controller finds the best of a table.

    models, low, high: mean number of trained models until then, and its 95 % interval; a seed that
        never finds it counts with its whole budget, so the mean is a lower bound.
    share: the share of seeds that find it.
    hours: mean training time until then; NaN if the table has no times.
    """

    models: float
    low: float
    high: float
    share: float
    hours: float


def finding(replays: Sequence[Replay]) -> Finding:
    """Summarise the replays of a controller, one per seed."""
    trained = len(replays[0].regret)
    models = np.array([replay.found or trained for replay in replays], float)
    mean, low, high = with_interval(np.mean, np.random.default_rng(0), models)
    assert mean is not None and low is not None and high is not None
    share = sum(replay.found is not None for replay in replays) / len(replays)
    hours = np.mean([r.hours[int(n) - 1] for r, n in zip(replays, models, strict=True)])
    return Finding(mean, low, high, share, float(hours))
