"""Image files as users have them, and the messages for unusable ones."""

import io
import re
from pathlib import Path

import numpy as np
import pytest

from nas.core.task import BadData
from nas.tasks.images import load_digits, load_images

LABELS = np.arange(50) % 3


def pixels(n: int = 50, size: int = 4, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, size, size, 3)).astype(np.uint8)


def save(path: Path, **arrays: np.ndarray) -> Path:
    np.savez(path, **arrays)
    return path


def test_the_digits_are_those_of_scikit_learn() -> None:
    from sklearn.datasets import load_digits as load

    images, labels = load(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    task = load_digits()
    parts = (task.valid, task.test, task.train)
    found = np.concatenate([part.inputs for part in parts]).reshape(len(order), -1)
    assert (found == images[order]).all()
    assert (np.concatenate([part.targets for part in parts]) == labels[order]).all()


def test_no_image_is_in_two_parts() -> None:
    task = load_digits()
    parts = [len(part) for part in (task.train, task.valid, task.test)]
    assert parts == [1079, 359, 359]
    rows = np.concatenate([task.train.inputs, task.valid.inputs, task.test.inputs])
    assert len(np.unique(rows.reshape(1797, -1), axis=0)) == 1797


def test_mean_and_deviation_are_those_of_the_training_pixels(tmp_path: Path) -> None:
    task = load_images(save(tmp_path / "a.npz", x=pixels(), y=LABELS))
    train = task.train.inputs.astype(np.float64)
    assert task.mean == pytest.approx(train.mean(axis=(0, 2, 3)))
    assert task.deviation == pytest.approx(train.std(axis=(0, 2, 3)))


def test_test_files_are_held_out_and_latest_is_not_a_test_file(tmp_path: Path) -> None:
    save(tmp_path / "latest.npz", x=pixels(), y=LABELS)
    held_out = pixels(7, seed=1)
    save(tmp_path / "set_test1k.npz", images=held_out, labels=LABELS[:7, None])
    task = load_images(tmp_path)
    assert [len(part) for part in (task.train, task.valid, task.test)] == [45, 5, 7]
    assert np.array_equal(task.test.inputs.transpose(0, 2, 3, 1), held_out)
    assert task.test.targets.shape == (7,)


def test_the_beginning_of_file_names_chooses_one_set_of_a_folder(tmp_path: Path) -> None:
    save(tmp_path / "a_train.npz", x=pixels(), y=LABELS)
    save(tmp_path / "b_train.npz", x=pixels(size=5), y=LABELS)
    assert load_images(tmp_path / "a").shape.height == 4
    assert load_images(tmp_path / "b").shape.height == 5
    with pytest.raises(BadData, match=r"3×4×4 in a_train\.npz but 3×5×5 in b_train\.npz"):
        load_images(tmp_path)


def test_batches_can_be_made_from_read_only_arrays(tmp_path: Path) -> None:
    task = load_images(save(tmp_path / "a.npz", x=pixels(), y=LABELS), batch=8)
    for array in (task.train.inputs, task.train.targets, task.valid.inputs, task.valid.targets):
        array.setflags(write=False)
    next(task.training_batches(0)).inputs.zero_()
    assert float(next(task.validation_batches()).inputs.std()) > 0.5


def numpy_file() -> bytes:
    file = io.BytesIO()
    np.save(file, pixels())
    return file.getvalue()


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04" + b"\0" * 99, numpy_file()])
def test_a_file_that_is_not_npz_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(BadData, match=r"a\.npz is not an \.npz file"):
        load_images(tmp_path / "a.npz")


@pytest.mark.parametrize("keep", [0.3, 0.7])
def test_a_broken_file_is_named(tmp_path: Path, keep: float) -> None:
    content = bytearray(save(tmp_path / "a.npz", x=pixels(), y=LABELS).read_bytes())
    middle = int(len(content) * keep)
    content[middle : middle + 9] = b"scribbled"
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(BadData, match=r"a\.npz cannot be read"):
        load_images(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"xz": np.zeros(40, np.uint8), "labels": LABELS}, "cannot be read"),
        ({"x": pixels()}, "has the arrays x: add x or images, and y or labels"),
        ({"x": pixels() / 255, "y": LABELS}, "images are float64 (50, 4, 4, 3)"),
        ({"x": pixels().reshape(50, -1), "y": LABELS}, "images are uint8 (50, 48)"),
        ({"x": pixels(), "y": LABELS + 0.5}, "labels are float64 (50,)"),
        ({"x": pixels(), "y": np.eye(3, dtype=np.uint8)[LABELS]}, "labels are uint8 (50, 3)"),
        ({"x": pixels(), "y": LABELS - 1}, "labels are int64 (50,)"),
        ({"x": pixels(), "y": np.int64(3)}, "labels are int64 ()"),
        ({"x": pixels(4), "y": LABELS[:4]}, "has 4 images, too few"),
    ],
)
def test_unusable_arrays_are_named(
    tmp_path: Path, arrays: dict[str, np.ndarray], message: str
) -> None:
    path = save(tmp_path / "a.npz", **arrays)
    with pytest.raises(BadData, match=re.escape(message)) as error:
        load_images(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_a_path_without_training_images_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"no \.npz files found"):
        load_images(tmp_path)
    with pytest.raises(BadData, match=r"no \.npz files found"):
        load_images(tmp_path / "missing" / "a.npz")
    with pytest.raises(BadData, match="only test images"):
        load_images(save(tmp_path / "test.npz", x=pixels(), y=LABELS))


def test_options_that_leave_a_part_empty_are_named(tmp_path: Path) -> None:
    path = save(tmp_path / "a.npz", x=pixels(), y=LABELS)
    for share in (0, 0.5, 2):
        with pytest.raises(BadData, match=f"validation is {share}: give a share"):
            load_images(path, validation=share)
    with pytest.raises(BadData, match="batch is 0"):
        load_images(path, batch=0)
    with pytest.raises(BadData, match="batch is 0"):
        load_digits(batch=0)


def test_real_sets_are_read_from_a_folder_with_both(data_folder: Path) -> None:
    mnist = load_images(data_folder / "vision" / "mnist")
    assert [len(part) for part in (mnist.train, mnist.valid, mnist.test)] == [54000, 6000, 10000]
    assert mnist.mean == pytest.approx([33.32], abs=0.2)


@pytest.mark.parametrize(("reading", "steps", "features"), [("rows", 4, 12), ("pixels", 16, 3)])
def test_images_are_read_as_sequences(
    tmp_path: Path, reading: str, steps: int, features: int
) -> None:
    file = save(tmp_path / "a.npz", x=pixels(), y=LABELS)
    whole = load_images(file, batch=8)
    task = load_images(file, batch=8, reading=reading)  # type: ignore[arg-type]
    assert (task.shape.kind, task.shape.inputs, task.shape.every_step) == (
        "features",
        features,
        False,
    )
    (image, labels, _), (sequence, same, lengths) = (
        next(each.training_batches(0)) for each in (whole, task)
    )
    assert sequence.shape == (8, steps, features) and lengths is None
    assert labels.tolist() == same.tolist()
    for row in range(4):
        for column in range(4):
            pixel = image[:, :, row, column]
            if reading == "rows":
                found = sequence[:, row].view(8, 3, 4)[..., column]
            else:
                found = sequence[:, 4 * row + column]
            assert found.tolist() == pixel.tolist()


def test_another_reading_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match='unknown reading "columns"; choose whole, rows, pixels'):
        load_digits(reading="columns")  # type: ignore[arg-type]
