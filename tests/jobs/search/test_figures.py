"""The statistics that a search's figures compute."""

import numpy as np
import pytest
from scipy.stats import kendalltau

from nas.jobs.search.figures import kendall_tau


@pytest.mark.parametrize("ties", [1, 3])
def test_kendall_tau_equals_scipys(ties: int) -> None:
    x, y = np.random.default_rng(ties).integers(12, size=(2, 40)) // ties
    assert kendall_tau(x, y) == pytest.approx(kendalltau(x, y).statistic)
    assert np.isnan(kendall_tau([1, 1, 1], [1, 2, 3]))
