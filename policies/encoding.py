"""Encodes decisions and their results as numbers that a predictor can fit."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from search_spaces.decisions import Path
from search_spaces.options import question_of, share_of

SPAN = 3.0  # the width of a real number's column

Array = NDArray[np.float64]


class Answer(NamedTuple):
    """A decision as a tuple, which hashes several times faster."""

    name: str
    taken: int
    options: int


Answers = tuple[Answer, ...]


def answers_of(path: Path) -> Answers:
    """Return the decisions of a path that had more than one option."""
    return tuple(Answer(d.name, d.index, d.options) for d in path if d.options > 1)


class Encoding:
    """One-hot encoding with a column for each answer seen so far; new answers add columns.

    The digits of a real number share one column, which holds the number's place in its range, from
    0 to 3: two random places are then about as far apart as two random options.
    """

    def __init__(self) -> None:
        self._columns: dict[tuple[str, int], int] = {}
        self._seen: dict[Answers, dict[int, float]] = {}

    def __call__(self, records: Sequence[Answers]) -> Array:
        """Return the records as rows of 0 and 1, `[records, columns]`."""
        rows = [self._row(record) for record in records]
        x = np.zeros((len(rows), len(self._columns)))
        for one, row in zip(x, rows, strict=True):
            one[list(row)] = list(row.values())
        return x

    def _row(self, record: Answers) -> dict[int, float]:
        if record not in self._seen:
            columns, row = self._columns, dict[int, float]()
            for name, taken, _ in record:
                share = share_of(name)
                answer = (name, taken) if share is None else (question_of(name), 0)
                column = columns.setdefault(answer, len(columns))
                row[column] = row.get(column, 0.0) + (
                    1.0 if share is None else SPAN * share * taken
                )
            self._seen[record] = row
        return self._seen[record]


def normal_scores(values: Sequence[float]) -> Array:
    """Replace values by their ranks, scaled so that they are roughly normally distributed.

    Equal values share a rank. The scale is logistic, because it has a closed form:
    0.5513 log(u / (1 - u)) has variance 1 for uniform u.

    >>> normal_scores([3.0, 1.0, 1e9]).round(2).tolist()
    [0.0, -0.89, 0.89]
    """
    _, place, times = np.unique(values, return_inverse=True, return_counts=True)
    shares = (np.cumsum(times) - times / 2) / len(values)
    return 0.5513 * np.log(shares / (1 - shares))[place]
