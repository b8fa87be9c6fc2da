"""Ranking candidates by several scores together."""

import pytest

from nas.core.errors import BadInput
from nas.loop.ranking import guiding_values, rank_sums


def test_the_first_value_of_a_score_guides() -> None:
    values = {"depth-2": 1.0, "depth-1": 2.0, "flow": 3.0, "flower": 9.0}
    assert guiding_values(values, {"flow": False, "depth": False}) == (3.0, 1.0)


def test_a_value_is_negated_if_higher_is_better() -> None:
    assert guiding_values({"flow": 3.0}, {"flow": True}) == (-3.0,)


def test_rank_sums_do_not_depend_on_scale() -> None:
    rows = {0: (1.0, 5.0), 1: (2.0, 4.0), 2: (3.0, -1e12)}
    assert rank_sums(rows) == {0: 4, 1: 4, 2: 4}
    assert rank_sums(rows) == rank_sums({n: (10 * a, b) for n, (a, b) in rows.items()})


def test_equal_values_share_the_better_rank() -> None:
    assert rank_sums({0: (1.0,), 1: (1.0,), 2: (2.0,)}) == {0: 1, 1: 1, 2: 3}


def test_one_score_ranks_like_its_values_and_no_score_ranks_all_equal() -> None:
    assert rank_sums({0: (), 1: ()}) == {0: 0, 1: 0}
    assert rank_sums({0: (0.5,), 1: (-7.0,), 2: (9.0,)}) == {0: 2, 1: 1, 2: 3}
    assert rank_sums({}) == {}


def test_a_score_with_misnamed_values_is_named() -> None:
    with pytest.raises(BadInput, match=r'score "flow" must return .*, not flower'):
        guiding_values({"flower": 1.0}, {"flow": True})
