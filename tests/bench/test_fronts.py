"""Hypervolume of what controllers find on two objectives of a table."""

import numpy as np
import pytest

from nas.bench.fronts import costs_of, front_table, hypervolume, non_dominated, replay_front
from nas.bench.tables import Row, Table
from nas.core.errors import BadInput

GRID = Table(
    "grid",
    [
        Row({f"n{i}": n // 4**i % 4 for i in range(4)}, n % 61, {"latency": n % 61 + float(n % 37)})
        for n in range(4**4)
    ],
)


def test_the_hypervolume_is_the_area_up_to_the_reference_point() -> None:
    reference = np.array([4.0, 4.0])
    assert hypervolume(np.array([[1.0, 3.0], [2.0, 1.0]]), reference) == 1 * 1 + 2 * 3
    assert hypervolume(np.array([[1.0, 3.0], [2.0, 1.0], [2.0, 2.0]]), reference) == 7
    assert hypervolume(np.array([[5.0, 0.0], [4.0, 4.0]]), reference) == 0


def test_points_that_no_other_dominates_are_kept_in_order() -> None:
    costs = np.array([[2.0, 1.0], [1.0, 3.0], [2.0, 2.0], [1.0, 3.0], [3.0, 0.0]])
    assert non_dominated(costs) == [1, 0, 4]


@pytest.mark.parametrize("name", ["random", "nsga-ii", "predictor"])
def test_a_share_never_falls_and_ends_at_the_whole_front(name: str) -> None:
    curve = replay_front(name, GRID, "latency", 30, seed=0)
    assert curve.shape == (30,) and (np.diff(curve) >= -1e-12).all()
    assert 0 < curve[-1] <= 1 + 1e-9
    assert (curve == replay_front(name, GRID, "latency", 30, seed=0)).all()
    assert "±" in front_table({name: np.stack([curve, curve])})


def test_a_table_without_the_cost_is_refused() -> None:
    with pytest.raises(BadInput, match="no row with energy"):
        costs_of(GRID, "energy")
    partly = Table("partly", [Row({"a": 0}, 1, {"b": 1.0}), Row({"a": 1}, 2)])
    with pytest.raises(BadInput, match="1 rows have no b"):
        costs_of(partly, "b")
