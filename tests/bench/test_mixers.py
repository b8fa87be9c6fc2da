"""`nas bench mixers` times recurrences beside chunks and the loop."""

import pytest

from nas.bench.mixers import POINTS, measure, recurrence_of, sizes_of, table
from nas.core.errors import BadInput


def test_a_row_has_the_ratio_to_the_fastest_chunks_and_to_the_loop() -> None:
    (row,) = measure(["gated-deltanet"], ["1x2x32x4"], repeats=1, loop=True)
    assert set(row.forward) == set(row.both) == {"compiled", "chunks", "loop"}
    assert row.both["compiled"] < row.both["loop"]
    assert 0 < row.of_peak < 1
    assert "1x2x32x4" in table([row])


def test_the_loop_is_optional() -> None:
    (row,) = measure(["gla"], ["1x1x16x2"], repeats=1, loop=False)
    assert set(row.forward) == {"compiled", "chunks"}


def test_names_and_shapes_are_checked() -> None:
    assert sizes_of("4x2x512x32") == (4, 2, 512, 32)
    for shape in ("", "4x2x512", "4x2x512x0", "axbxcxd"):
        with pytest.raises(BadInput, match="unknown shape"):
            sizes_of(shape)
    with pytest.raises(BadInput, match='unknown point "mamba"'):
        recurrence_of("mamba", 4)
    assert all(recurrence_of(point, 4).keys == 4 for point in POINTS)
