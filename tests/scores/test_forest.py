"""A forest stored as plain numbers, compared with the library that fitted it."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesRegressor

from nas.scores.forest import SHARE_OF_FEATURES, SMALLEST_LEAF, TREES, Forest

RNG = np.random.default_rng(0)
TABLE = RNG.normal(size=(80, 3))
ROWS = [dict(zip("abc", map(float, row), strict=True)) for row in TABLE]
TARGETS = [float(3 * row[0] + row[1] ** 2) for row in TABLE]


def test_it_predicts_the_same_as_the_library() -> None:
    library = ExtraTreesRegressor(
        TREES, min_samples_leaf=SMALLEST_LEAF, max_features=SHARE_OF_FEATURES, random_state=0
    ).fit(TABLE, TARGETS)
    forest = Forest.fit(ROWS, TARGETS)
    found = [forest.predict(row) for row in ROWS]
    np.testing.assert_allclose(found, library.predict(TABLE), rtol=0, atol=1e-4)


def test_the_order_of_the_features_does_not_matter() -> None:
    forest = Forest.fit(ROWS, TARGETS)
    turned = dict(reversed(ROWS[0].items()))
    assert forest.predict(turned) == forest.predict(ROWS[0])


def test_a_written_forest_is_read_back_unchanged(tmp_path: Path) -> None:
    forest = Forest.fit(ROWS, TARGETS)
    forest.write(tmp_path / "fit.json", {"from": "a test"})
    again = Forest.read(tmp_path / "fit.json")
    assert [again.predict(row) for row in ROWS] == [forest.predict(row) for row in ROWS]


@pytest.mark.parametrize("text", [None, "", "{}", "[1]"])
def test_a_file_without_a_forest_is_named(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "fit.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError, match="is not a fitted score"):
        Forest.read(path)
