"""Paths of decisions and their results as numbers that a predictor fits."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from policies.path_sampler import Path

Array = NDArray[np.float64]


class Encoding:
    """One column of 0 and 1 for each answer that was ever seen; new answers add columns."""

    def __init__(self) -> None:
        self._columns: dict[tuple[str, int], int] = {}
        self._seen: dict[Path, list[int]] = {}

    def __call__(self, paths: Sequence[Path]) -> Array:
        """The paths as rows, `[paths, columns]`."""
        rows = [self._answers(path) for path in paths]
        x = np.zeros((len(rows), len(self._columns)))
        for one, row in zip(x, rows, strict=True):
            one[row] = 1
        return x

    def _answers(self, path: Path) -> list[int]:
        if path not in self._seen:
            columns = self._columns
            self._seen[path] = [columns.setdefault((d.name, d.index), len(columns)) for d in path]
        return self._seen[path]


def normal_scores(values: Sequence[float]) -> Array:
    """The values by their ranks, on a scale on which they are about normally distributed.

    Equal ones share their rank. The scale is the logistic one, which needs no table:
    0.5513 log(u / (1 - u)) has variance 1 for uniform u.

    >>> normal_scores([3.0, 1.0, 1e9]).round(2).tolist()
    [0.0, -0.89, 0.89]
    """
    _, place, times = np.unique(values, return_inverse=True, return_counts=True)
    shares = (np.cumsum(times) - times / 2) / len(values)
    return 0.5513 * np.log(shares / (1 - shares))[place]
