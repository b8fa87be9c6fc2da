"""How much each decision explains of what candidates are judged by."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nas.reporting.explorer import Explorer, values_of

FEWEST = 30  # candidates with a value; fewer say nothing
MOST = 2000  # candidates that are used, evenly spaced
GROUPS = 5  # of a number with many values
BLOCKS = 20  # of the jackknife
SHOWN = 12
Z = 1.96  # of a 95 % interval


class Importance(NamedTuple):
    """A decision's share of the variance, and half of its 95 % interval."""

    name: str
    share: float
    half_width: float


def importances(explorer: Explorer, target: str) -> tuple[list[Importance], int]:
    """Return the decisions that explain a column alone, largest share first, and the n of rows.

    The share is ε² of the target's ranks between the groups of equal answers: the explained part
    of the variance, without what as many random groups would explain (Kelley 1935,
    https://doi.org/10.1073/pnas.21.9.554). "Not asked" is an answer too; numbers of many values
    are split into five groups. The interval is a delete-a-block jackknife's; decisions whose
    interval includes zero are left out. Interactions of decisions are not seen.
    """
    failed = [row.status == "failed" for row in explorer.rows]
    values = values_of(explorer, target)
    known = [i for i, v in enumerate(values) if isinstance(v, int | float) and not failed[i]]
    if len(known) < FEWEST:
        return [], len(known)
    chosen = np.unique(np.linspace(0, len(known) - 1, MOST).astype(int))
    used = [known[i] for i in chosen]
    ranks = _ranks(np.array([float(values[i]) for i in used]))  # type: ignore[arg-type]
    found = []
    for column in explorer.columns:
        if column.role not in ("decision", "graph"):
            continue
        answers = values_of(explorer, column.name)
        groups = _groups([answers[i] for i in used])
        share = _explained(ranks, groups)
        half = Z * _jackknife_error(ranks, groups)
        if share - half > 0:
            found.append(Importance(column.name, share, half))
    return sorted(found, key=lambda one: -one.share)[:SHOWN], len(used)


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each value's rank; equal values share the mean of theirs."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[places]


def _groups(answers: Sequence[object]) -> NDArray[np.intp]:
    """Return the group of each answer."""
    numbers = [a for a in answers if isinstance(a, int | float) and not isinstance(a, bool)]
    if len(set(numbers)) > GROUPS + 1:
        edges = np.unique(np.quantile(numbers, np.linspace(0, 1, GROUPS + 1)[1:-1]))
        answers = [
            np.searchsorted(edges, a, side="right") if isinstance(a, int | float) else -1
            for a in answers
        ]
    _, groups = np.unique([str(answer) for answer in answers], return_inverse=True)
    return groups


def _explained(ranks: NDArray[np.float64], groups: NDArray[np.intp]) -> float:
    """Return ε² = 1 - (SS_within / (n - k)) / (SS_total / (n - 1)) for k groups."""
    counts = np.bincount(groups)
    kinds, n = int((counts > 0).sum()), len(ranks)
    total = float(((ranks - ranks.mean()) ** 2).sum())
    if kinds < 2 or kinds >= n or total == 0:
        return 0.0
    means = np.bincount(groups, ranks) / np.maximum(counts, 1)
    within = float(((ranks - means[groups]) ** 2).sum())
    return 1 - (within / (n - kinds)) / (total / (n - 1))


def _jackknife_error(ranks: NDArray[np.float64], groups: NDArray[np.intp]) -> float:
    block = np.arange(len(ranks)) % BLOCKS
    shares = np.array([_explained(ranks[block != b], groups[block != b]) for b in range(BLOCKS)])
    return float(np.sqrt((BLOCKS - 1) / BLOCKS * ((shares - shares.mean()) ** 2).sum()))
