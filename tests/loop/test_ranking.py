"""Candidates ranked by several scores together."""

import pytest

from nas.core.errors import BadInput
from nas.loop.ranking import guiding_values, rank_sums


def test_a_score_speaks_by_the_value_it_gives_first() -> None:
    values = {"depth-2": 1.0, "depth-1": 2.0, "flow": 3.0, "flower": 9.0}
    assert guiding_values(values, {"flow": False, "depth": False}) == (3.0, 1.0)


def test_more_is_negated_where_more_is_better() -> None:
    assert guiding_values({"flow": 3.0}, {"flow": True}) == (-3.0,)


def test_the_sum_of_ranks_knows_no_scale() -> None:
    rows = {0: (1.0, 5.0), 1: (2.0, 4.0), 2: (3.0, -1e12)}
    assert rank_sums(rows) == {0: 4, 1: 4, 2: 4}
    assert rank_sums(rows) == rank_sums({n: (10 * a, b) for n, (a, b) in rows.items()})


def test_equal_values_share_the_better_rank() -> None:
    assert rank_sums({0: (1.0,), 1: (1.0,), 2: (2.0,)}) == {0: 1, 1: 1, 2: 3}


def test_without_scores_all_are_equal_and_one_score_ranks_as_its_values_do() -> None:
    assert rank_sums({0: (), 1: ()}) == {0: 0, 1: 0}
    assert rank_sums({0: (0.5,), 1: (-7.0,), 2: (9.0,)}) == {0: 2, 1: 1, 2: 3}
    assert rank_sums({}) == {}


def test_a_score_without_a_value_of_its_name_is_named() -> None:
    with pytest.raises(BadInput, match='score "flow" gives no value of its name, but flower'):
        guiding_values({"flower": 1.0}, {"flow": True})
