"""The encoding of decisions for a predictor."""

import numpy as np

from policies.encoding import SPAN, Encoding, answers_of
from search_spaces.decisions import Decision


def test_the_digits_of_a_real_number_share_a_column() -> None:
    paths = [
        (Decision("op", i % 2, 2), Decision("rate~1", i, 8), Decision("rate~2", 4, 8))
        for i in range(8)
    ]
    x = Encoding()([answers_of(path) for path in paths])
    assert x.shape == (8, 3)  # two operations and the rate
    rate = x[:, 1]
    assert np.allclose(np.diff(rate), SPAN / 8) and np.isclose(rate[0], SPAN * 4 / 64)
