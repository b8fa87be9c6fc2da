"""Classification of sequences of features from your own file."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from nas.core.task import BadData
from nas.tasks.classification import Classification, Examples
from nas.tasks.options import at_least
from search_spaces.space import DataShape

LEAST_DEVIATION = 1e-3


def load_sequences(data: Path, *, batch: int = 64, validation: float = 0.1) -> Classification:
    """Return the task of an `.npz` file.

    The file holds `x` `[n, T, C]`, class numbers as `y` or `label`, and optionally `length`, the
    number of steps of each sequence, and `is_test`, which marks the rows of the test part. Without
    `is_test`, a random share equal to `validation` is the test part.
    Features are scaled to mean 0 and deviation 1 over the training steps.
    validation: share of the training sequences used for validation, drawn once.
    Raises `BadData` naming the file.
    """
    at_least(1, batch=batch)
    if not 0 < validation < 0.5:
        raise BadData(f"validation is {validation}: give a share between 0 and 0.5")
    arrays = _read(data)
    examples = _examples(data, arrays)
    rng = np.random.default_rng(0)
    is_test = arrays.get("is_test", rng.random(len(examples)) < validation).astype(bool)
    order = rng.permutation(np.flatnonzero(~is_test))
    held = int(len(order) * validation)
    if held == 0 or not is_test.any():
        raise BadData(
            f"{data} has {len(order)} training sequences and {int(is_test.sum())} for test: "
            "add sequences, or raise validation"
        )
    train = examples.take(order[held:])
    counted = np.concatenate([x[:n] for x, n in zip(train.inputs, _steps(train), strict=True)])
    mean, deviation = counted.mean(axis=0), counted.std(axis=0).clip(LEAST_DEVIATION)
    scaled = Examples(
        ((examples.inputs - mean) / deviation).astype(np.float32),
        examples.targets,
        examples.lengths,
    )
    classes = int(examples.targets.max()) + 1
    return Classification(
        "sequences",
        DataShape("features", examples.inputs.shape[2], classes, every_step=False),
        scaled.take(order[held:]),
        scaled.take(order[:held]),
        scaled.take(np.flatnonzero(is_test)),
        batch,
    )


def _steps(examples: Examples) -> np.ndarray:
    if examples.lengths is None:
        return np.full(len(examples), examples.inputs.shape[1])
    return examples.lengths


def _read(path: Path) -> Mapping[str, np.ndarray]:
    if not (path.is_file() and zipfile.is_zipfile(path)):
        raise BadData(f"{path} is not an .npz file: write one with numpy.savez")
    try:
        with np.load(path) as stored:
            return {name: stored[name] for name in stored.files}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise BadData(f"{path} cannot be read: {error}; write it again") from None


def _examples(path: Path, arrays: Mapping[str, np.ndarray]) -> Examples:
    inputs = arrays.get("x")
    labels = arrays.get("y", arrays.get("label"))
    if inputs is None or labels is None:
        raise BadData(f"{path} has the arrays {', '.join(arrays)}: add x, and y or label")
    if inputs.ndim != 3 or inputs.dtype.kind not in "iuf":
        raise BadData(f"{path}: x is {inputs.dtype} {inputs.shape}, expected numbers [n, T, C]")
    if labels.dtype.kind not in "iu" or len(labels) != len(inputs) or labels.min(initial=0) < 0:
        raise BadData(
            f"{path}: labels are {labels.dtype} {labels.shape} for {len(inputs)} sequences, "
            "expected a class number from 0 up for each"
        )
    lengths = arrays.get("length")
    if lengths is not None and not ((lengths >= 1) & (lengths <= inputs.shape[1])).all():
        raise BadData(f"{path}: length must be from 1 to {inputs.shape[1]} steps")
    steps = None if lengths is None else lengths.astype(np.int64)
    return Examples(inputs.astype(np.float32), labels.reshape(-1).astype(np.int64), steps)
