"""N-parity: lengths, balance, and options."""

import numpy as np
import pytest

from nas.core.task import BadData
from nas.tasks.growing_memory import drawn_lengths
from nas.tasks.n_parity import NParity, load_n_parity


@pytest.mark.parametrize("n", [2, 3, 10])
def test_lengths_and_labels_follow_the_documented_distributions(n: int) -> None:
    rng, counts = np.random.default_rng(0), np.full(8000, n)
    batch = NParity(10, marks=True).draw(counts, drawn_lengths(counts, rng), rng)
    assert batch.lengths is not None
    assert (int(batch.lengths.min()), int(batch.lengths.max())) == (n + 2, 4 * n + 2)
    expected = 0.5 if n % 2 else n / (2 * n + 2)
    assert float(batch.targets.float().mean()) == pytest.approx(expected, abs=0.025)


def test_validation_and_test_cover_every_n_with_different_sequences() -> None:
    task = load_n_parity(largest=5)
    valid, test = list(task.validation_batches()), list(task.test_batches())
    for batches in (valid, test):
        asked = [(b.inputs >= 3).sum(dim=1).unique().tolist() for b in batches]
        assert asked == [[2], [3], [4], [5]]
    assert all(v.lengths.tolist() != t.lengths.tolist() for v, t in zip(valid, test, strict=True))


@pytest.mark.parametrize(("option", "value"), [("largest", 1), ("steps_per_n", 0), ("batch", 0)])
def test_invalid_options_are_named(option: str, value: int) -> None:
    with pytest.raises(BadData, match=f"^{option} is {value}: give a whole number"):
        load_n_parity(**{option: value})
