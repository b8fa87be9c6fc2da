"""Images: scikit-learn's digits, which need no download, and your own files."""

import lzma
import re
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from nas.core.task import BadData
from nas.tasks.classification import Classification, Examples, Reading, shape_as_read
from nas.tasks.options import at_least
from search_spaces.space import DataShape

IMAGENET_MEAN = (123.675, 116.28, 103.53)  # of pixels from 0 to 255, for red, green, blue
IMAGENET_DEVIATION = (58.395, 57.12, 57.375)
TEST = re.compile(r"(^|[._-])test")
UNREADABLE = (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error, lzma.LZMAError)


def load_digits(*, batch: int = 64, reading: Reading = "whole") -> Classification:
    """Return 1,797 handwritten digits of 8×8 pixels, a fifth for validation, a fifth for test.

    reading: images "whole", or as sequences of 8 "rows" or 64 "pixels".
    """
    at_least(1, batch=batch)
    rows = np.loadtxt(_digits_file(), np.int64, delimiter=",")  # 64 pixels, then the class
    rows = rows[np.random.default_rng(0).permutation(len(rows))]
    examples = Examples(rows[:, :64].reshape(-1, 1, 8, 8).astype(np.uint8), rows[:, 64])
    fifth = len(rows) // 5
    return _classification(
        "digits",
        examples.take(slice(2 * fifth, None)),
        examples.take(slice(0, fifth)),
        examples.take(slice(fifth, 2 * fifth)),
        batch,
        reading,
    )


def _digits_file() -> Path:
    """Return scikit-learn's file, found without the second that importing scikit-learn takes."""
    package = find_spec("sklearn")
    assert package is not None and package.origin is not None, "nas-search depends on it"
    return Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz"


def load_images(
    data: Path,
    *,
    batch: int = 64,
    validation: float = 0.1,
    normalisation: Literal["images", "imagenet"] = "images",
    reading: Reading = "whole",
) -> Classification:
    """Return the task of image files.

    data: an `.npz` file, a folder of them, or the beginning of their names, as in `vision/cifar10`.
    Files with the word "test" in their names (`mnist_test.npz`) are the test part. A file holds
    bytes `[n, height, width]` or `[n, height, width, channels]` as `x` or `images`, and class
    numbers as `y` or `labels`; or CIFAR-10 as compressed planes (`xz`, `labels`).
    validation: share of the training images used for validation, drawn once. Without a test part,
    the same number becomes the test part.
    normalisation: scale pixels by the mean and deviation of the training images ("images"), or by
    those of ImageNet ("imagenet"), which many trained networks expect.
    reading: images "whole", or as sequences of their "rows" or "pixels", normalised as images are.
    Raises `BadData` naming the file.
    """
    at_least(1, batch=batch)
    if not 0 < validation < 0.5:
        raise BadData(f"validation is {validation}: give a share between 0 and 0.5")
    parts = {path.name: _read(path) for path in _find(data)}
    _same_size(data, parts)
    test = [part for name, part in parts.items() if TEST.search(name)]
    train = [part for name, part in parts.items() if not TEST.search(name)]
    if not train:
        raise BadData(f'{data} has only test images: add a file without "test" in its name')
    examples = _together(train)
    examples = examples.take(np.random.default_rng(0).permutation(len(examples)))
    held = int(len(examples) * validation)
    if held == 0:
        raise BadData(
            f"{data} has {len(examples)} images, too few for a validation share of "
            f"{validation:.0%}: add images"
        )
    used = held if test else 2 * held
    task = _classification(
        "images",
        examples.take(slice(used, None)),
        examples.take(slice(0, held)),
        _together(test) if test else examples.take(slice(held, used)),
        batch,
        reading,
    )
    if normalisation == "images":
        return task
    if normalisation != "imagenet" or len(task.mean) != 3:
        raise BadData(
            f"normalisation is {normalisation!r} for {len(task.mean)} channels: "
            'use "images", or "imagenet" with 3 channels'
        )
    return replace(task, mean=IMAGENET_MEAN, deviation=IMAGENET_DEVIATION)


def _classification(
    name: str, train: Examples, valid: Examples, test: Examples, batch: int, reading: Reading
) -> Classification:
    if reading not in get_args(Reading):
        raise BadData(f'unknown reading "{reading}"; choose {", ".join(get_args(Reading))}')
    _, channels, height, width = train.inputs.shape
    mean = train.inputs.mean(axis=(0, 2, 3), dtype=np.float64)
    squares = np.square(train.inputs, dtype=np.uint16).mean(axis=(0, 2, 3), dtype=np.float64)
    deviation = np.sqrt(np.maximum(squares - mean**2, 1e-6))
    classes = int(max(part.targets.max() for part in (train, valid, test))) + 1
    shape = DataShape("images", channels, classes, every_step=False, height=height, width=width)
    return Classification(
        name,
        shape_as_read(shape, reading),
        train,
        valid,
        test,
        batch,
        tuple(mean.tolist()),
        tuple(deviation.tolist()),
        reading,
    )


def _find(data: Path) -> list[Path]:
    if data.is_file():
        return [data]
    folder, start = (data, "") if data.is_dir() else (data.parent, data.name)
    files = sorted(path for path in folder.glob("*.npz") if path.name.startswith(start))
    if not files:
        raise BadData(f"{data}: no .npz files found: name a file, or a folder with .npz files")
    return files


def _same_size(data: Path, parts: Mapping[str, Examples]) -> None:
    """Raise `BadData` if two files hold images of different sizes."""
    (first, examples), *others = parts.items()
    for name, other in others:
        a, b = ("×".join(map(str, images.shape[1:])) for images in (examples.inputs, other.inputs))
        if a != b:
            raise BadData(
                f"{data}: images are {a} in {first} but {b} in {name}: "
                "choose one set by the beginning of its file names"
            )


def _read(path: Path) -> Examples:
    """Return one file's images, channels first."""
    if not (path.is_file() and zipfile.is_zipfile(path)):
        raise BadData(f"{path} is not an .npz file: write one with numpy.savez")
    try:
        with np.load(path) as stored:
            arrays = {name: stored[name] for name in stored.files}
        images = _cifar(arrays) if "xz" in arrays else arrays.get("x", arrays.get("images"))
    except UNREADABLE as error:
        raise BadData(f"{path} cannot be read: {error}; write it again") from None
    labels = arrays.get("y", arrays.get("labels"))
    if images is None or labels is None:
        raise BadData(
            f"{path} has the arrays {', '.join(arrays)}: add x or images, and y or labels"
        )
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or images.dtype != np.uint8:
        raise BadData(
            f"{path}: images are {images.dtype} {images.shape}, "
            "expected bytes [n, height, width, channels]"
        )
    if labels.dtype.kind not in "iu" or labels.size != len(images) or labels.min(initial=0) < 0:
        raise BadData(
            f"{path}: labels are {labels.dtype} {labels.shape} for {len(images)} images, "
            "expected a class number from 0 up for each"
        )
    return Examples(images.transpose(0, 3, 1, 2), labels.reshape(-1).astype(np.int64))


def _cifar(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """Decode CIFAR-10 from planes G, R - G, B - G after a gradient predictor, modulo 256."""
    raw = np.frombuffer(lzma.decompress(arrays["xz"].tobytes()), np.uint8)
    planes = raw.reshape(3, -1, 32, 32)
    planes = np.cumsum(np.cumsum(planes, axis=2, dtype=np.uint8), axis=3, dtype=np.uint8)
    green, red, blue = planes[0], planes[1] + planes[0], planes[2] + planes[0]
    return np.stack([red, green, blue], axis=-1)


def _together(parts: list[Examples]) -> Examples:
    return Examples(
        np.concatenate([part.inputs for part in parts]),
        np.concatenate([part.targets for part in parts]),
    )
