"""What the figures of a search compute by themselves."""

import numpy as np
import pytest
from scipy.stats import kendalltau

from nas.jobs.search.figures import kendall_tau


@pytest.mark.parametrize("ties", [1, 3])
def test_kendall_tau_is_that_of_scipy(ties: int) -> None:
    x, y = np.random.default_rng(ties).integers(12, size=(2, 40)) // ties
    assert kendall_tau(x, y) == pytest.approx(kendalltau(x, y).statistic)
    assert np.isnan(kendall_tau([1, 1, 1], [1, 2, 3]))
