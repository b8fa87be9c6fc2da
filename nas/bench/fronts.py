"""Replays controllers on two objectives of a table: how much of its Pareto front do they find?"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from nas.bench.curves import checkpoints, mean_and_error
from nas.bench.search import of_optuna, trained_rows
from nas.bench.tables import Table
from nas.core.errors import BadInput
from nas.core.registry import create_controller
from nas.loop.controller import Controller
from nas.reporting.table import aligned

Array = NDArray[np.float64]


def costs_of(table: Table, cost: str) -> Array:
    """Return the two costs of each row, `[rows, 2]`: minus the reward, and the score `cost`."""
    known = table.scored([cost])
    if len(known) < len(table.rows):
        raise BadInput(f"{table.name}: {len(table.rows) - len(known)} rows have no {cost}")
    return np.array([(-row.reward, row.scores[cost]) for row in table.rows])


def replay_front(name: str, table: Table, cost: str, trained: int, seed: int) -> Array:
    """Return the share of the table's hypervolume after 1 to `trained` models, `[trained]`.

    The reference point has the highest value of each objective on the table's front, and 10 % of
    the front's range on top.
    """
    costs = costs_of(table, cost)
    front = costs[non_dominated(costs)]
    reference = front.max(axis=0) + 0.1 * np.ptp(front, axis=0)
    sampler = create_controller(name, np.random.default_rng(seed), {})
    proposals = of_optuna(Controller(sampler, maximise=False, objectives=2), table)
    value = {row: (float(a), float(b)) for row, (a, b) in enumerate(costs)}
    rows, _ = trained_rows(name, table, proposals, value.__getitem__, trained)
    found = [hypervolume(costs[rows[: n + 1]], reference) for n in range(len(rows))]
    return np.pad(found, (0, trained - len(rows)), mode="edge") / hypervolume(front, reference)


def non_dominated(costs: Array) -> list[int]:
    """Return the rows `[N, 2]` that no other is better than in one cost and as good in the other.

    They are sorted by the first cost.
    """
    kept: list[int] = []
    for row in np.lexsort((costs[:, 1], costs[:, 0])):
        if not kept or costs[row, 1] < costs[kept[-1], 1]:
            kept.append(int(row))
    return kept


def hypervolume(costs: Array, reference: Array) -> float:
    """Return the area that points `[N, 2]` dominate, up to a reference point `[2]`.

    Zitzler and Thiele 1998, https://doi.org/10.1007/BFb0056872, section 4.
    """
    inside = costs[(costs < reference).all(axis=1)]
    if not len(inside):
        return 0.0
    first, second = inside[non_dominated(inside)].T
    widths = np.diff(np.append(first, reference[0]))
    return float(widths @ (reference[1] - second))


def front_table(curves: Mapping[str, Array]) -> str:
    """Return a table with a row per controller: hypervolume in percent ± standard error."""
    trained = next(iter(curves.values())).shape[1]
    rows = [["hypervolume, %", *map(str, checkpoints(trained)), "seeds"]]
    for name, curve in curves.items():
        values = [mean_and_error(100 * curve[:, n - 1]) for n in checkpoints(trained)]
        cells = [f"{mean:.1f} ± {error:.1f}" for mean, error in values]
        rows.append([name, *cells, str(len(curve))])
    return "\n".join(aligned(rows))
