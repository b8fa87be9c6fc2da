"""Sequences from a file."""

from pathlib import Path

import numpy as np
import pytest

from nas.core.task import BadData
from nas.tasks.sequences import load_sequences


def write(path: Path, **changed) -> Path:
    rng = np.random.default_rng(0)
    arrays = {
        "x": rng.integers(50, 200, (40, 6, 3), dtype=np.uint8),
        "label": np.arange(40, dtype=np.uint8) % 4,
        "length": rng.integers(2, 7, 40),
        "is_test": np.arange(40) >= 30,
        **changed,
    }
    np.savez(path, **{k: v for k, v in arrays.items() if v is not None})
    return path


def test_the_parts_are_disjoint_and_the_steps_that_count_are_scaled(tmp_path: Path) -> None:
    x = np.random.default_rng(1).normal(7, 3, (40, 6, 3))
    x[:, 0, 0] = np.arange(40) * 100  # tells the sequences apart
    task = load_sequences(write(tmp_path / "a.npz", x=x), validation=0.2)
    parts = (task.train, task.valid, task.test)
    assert [len(part) for part in parts] == [24, 6, 10]
    firsts = np.concatenate([part.inputs[:, 0, 0] for part in parts])
    assert len(np.unique(firsts)) == 40
    assert task.train.lengths is not None
    steps = np.concatenate(
        [r[:n] for r, n in zip(task.train.inputs, task.train.lengths, strict=True)]
    )
    np.testing.assert_allclose(steps.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(steps.std(axis=0), 1, atol=1e-4)
    assert (task.shape.inputs, task.shape.outputs) == (3, 4)


def test_lengths_and_the_test_part_are_optional(tmp_path: Path) -> None:
    task = load_sequences(write(tmp_path / "a.npz", length=None, is_test=None), validation=0.3)
    assert task.train.lengths is None and len(task.test) > 0


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"x": None}, "add x, and y or label"),
        ({"x": np.zeros((40, 6))}, r"expected numbers \[n, T, C\]"),
        ({"label": np.zeros(40)}, "expected a class number"),
        ({"length": np.full(40, 7)}, "length must be from 1 to 6 steps"),
        ({"is_test": np.ones(40, bool)}, "has 0 training sequences and 40 for test"),
    ],
)
def test_unusable_arrays_are_named(tmp_path: Path, changed, message: str) -> None:
    with pytest.raises(BadData, match=rf"a\.npz.*{message}"):
        load_sequences(write(tmp_path / "a.npz", **changed))


def test_a_file_that_is_not_npz_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_text("text")
    with pytest.raises(BadData, match=r"a\.npz is not an \.npz file"):
        load_sequences(tmp_path / "a.npz")
