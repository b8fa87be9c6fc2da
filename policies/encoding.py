"""Decisions and their results as numbers that a predictor fits."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from search_spaces.decisions import Path

Array = NDArray[np.float64]


class Answer(NamedTuple):
    """A decision as a tuple, which is hashed several times as quickly."""

    name: str
    taken: int
    options: int


Answers = tuple[Answer, ...]


def answers_of(path: Path) -> Answers:
    """The decisions of a path that somebody was asked for."""
    return tuple(Answer(d.name, d.index, d.options) for d in path if d.options > 1)


class Encoding:
    """One column of 0 and 1 for each answer that was ever seen; new answers add columns."""

    def __init__(self) -> None:
        self._columns: dict[tuple[str, int], int] = {}
        self._seen: dict[Answers, list[int]] = {}

    def __call__(self, records: Sequence[Answers]) -> Array:
        """The records as rows, `[records, columns]`."""
        rows = [self._row(record) for record in records]
        x = np.zeros((len(rows), len(self._columns)))
        for one, row in zip(x, rows, strict=True):
            one[row] = 1
        return x

    def _row(self, record: Answers) -> list[int]:
        if record not in self._seen:
            columns = self._columns
            row = [columns.setdefault((name, taken), len(columns)) for name, taken, _ in record]
            self._seen[record] = row
        return self._seen[record]


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
