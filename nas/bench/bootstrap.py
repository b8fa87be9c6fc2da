"""Bootstrap confidence intervals of a statistic."""

from collections.abc import Callable

import numpy as np

RESAMPLES = 500


def with_interval(
    statistic: Callable[..., float | None], rng: np.random.Generator, *columns: np.ndarray
) -> tuple[float | None, float | None, float | None]:
    """Return a statistic of columns, and the 2.5 and 97.5 % points of its percentile bootstrap.

    columns: columns of equal lengths, whose rows are resampled together.
    Returns three times None if the statistic is None.
    Efron and Tibshirani 1993, An Introduction to the Bootstrap, section 13.3.
    """
    value = statistic(*columns)
    if value is None:
        return None, None, None
    rows = len(columns[0])
    drawn = (rng.integers(rows, size=rows) for _ in range(RESAMPLES))
    again = [found for i in drawn if (found := statistic(*(c[i] for c in columns))) is not None]
    low, high = np.quantile(again, [0.025, 0.975])
    return value, float(low), float(high)
