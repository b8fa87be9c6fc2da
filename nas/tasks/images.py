"""Images: scikit-learn's digits, which need no download, and files of one's own."""

import lzma
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from nas.tasks.classification import Classification, Examples
from nas.tasks.task import BadData
from search_spaces.space import DataShape


def load_digits(*, batch: int = 64) -> Classification:
    """1,797 handwritten digits of 8×8 pixels; a fifth is validation and a fifth test."""
    from sklearn.datasets import load_digits as load

    images, labels = load(return_X_y=True)
    pixels = images.reshape(-1, 1, 8, 8).astype(np.uint8)
    order = np.random.default_rng(0).permutation(len(labels))
    examples = Examples(pixels[order], labels[order].astype(np.int64))
    fifth = len(order) // 5
    return _classification(
        "digits",
        examples.take(slice(2 * fifth, None)),
        examples.take(slice(0, fifth)),
        examples.take(slice(fifth, 2 * fifth)),
        batch,
    )


def load_images(data: Path, *, batch: int = 64, validation: float = 0.1) -> Classification:
    """An `.npz` file, or a folder of them: those with "test" in their names are the test part.

    A file holds bytes `[n, height, width]` or `[n, height, width, channels]` as `x` or `images` and
    class numbers as `y` or `labels`; or CIFAR-10 as compressed planes (`xz`, `labels`, `n`).
    validation: share of the training images that is validation, drawn once. Without a test part
    as many are test images.
    Raises `BadData` naming the file.
    """
    files = sorted(data.glob("*.npz")) if data.is_dir() else [data]
    if not files or not all(path.exists() for path in files):
        raise BadData(f"{data} holds no .npz file of images: name a file or a folder")
    test = [_read(path) for path in files if "test" in path.name]
    train = [_read(path) for path in files if "test" not in path.name]
    if not train:
        raise BadData(f"{data} has only test images: add a file without test in its name")
    examples = _together(train)
    examples = examples.take(np.random.default_rng(0).permutation(len(examples)))
    held = int(len(examples) * validation)
    if held == 0:
        raise BadData(f"{data} has {len(examples)} images: too few to hold {validation:.0%} out")
    used = held if test else 2 * held
    return _classification(
        "images",
        examples.take(slice(used, None)),
        examples.take(slice(0, held)),
        _together(test) if test else examples.take(slice(held, used)),
        batch,
    )


def _classification(
    name: str, train: Examples, valid: Examples, test: Examples, batch: int
) -> Classification:
    _, channels, height, width = train.inputs.shape
    pixels = train.inputs.astype(np.float32)
    deviation = np.maximum(pixels.std(axis=(0, 2, 3)), 1e-3)
    classes = int(max(part.targets.max() for part in (train, valid, test))) + 1
    return Classification(
        name,
        DataShape("images", channels, classes, every_step=False, height=height, width=width),
        train,
        valid,
        test,
        batch,
        tuple(float(m) for m in pixels.mean(axis=(0, 2, 3))),
        tuple(float(d) for d in deviation),
    )


def _read(path: Path) -> Examples:
    """One file's images, channels first."""
    try:
        with np.load(path) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except (OSError, ValueError) as error:
        raise BadData(f"{path} cannot be read as .npz: {error}") from None
    labels = arrays.get("y", arrays.get("labels"))
    images = _cifar(arrays) if "xz" in arrays else arrays.get("x", arrays.get("images"))
    if images is None or labels is None:
        raise BadData(f"{path} holds {', '.join(arrays)}: x or images, and y or labels are needed")
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or images.dtype != np.uint8 or len(images) != len(labels):
        raise BadData(
            f"{path}: images are {images.dtype} {images.shape} for {len(labels)} labels, "
            "expected bytes [n, height, width, channels]"
        )
    return Examples(images.transpose(0, 3, 1, 2), labels.astype(np.int64))


def _cifar(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """CIFAR-10 from planes G, R - G, B - G after a gradient predictor, modulo 256."""
    raw = np.frombuffer(lzma.decompress(arrays["xz"].tobytes()), np.uint8)
    planes = raw.reshape(3, int(arrays["n"]), 32, 32)
    planes = np.cumsum(np.cumsum(planes, axis=2, dtype=np.uint8), axis=3, dtype=np.uint8)
    green, red, blue = planes[0], planes[1] + planes[0], planes[2] + planes[0]
    return np.stack([red, green, blue], axis=-1)


def _together(parts: list[Examples]) -> Examples:
    return Examples(
        np.concatenate([part.inputs for part in parts]),
        np.concatenate([part.targets for part in parts]),
    )
