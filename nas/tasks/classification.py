"""Classification of arrays: sequences of different lengths, features, or images."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from nas.core.answers import cross_entropy, mean_cross_entropy, tensor
from nas.core.task import Batch, Measured
from search_spaces.space import DataShape

EVALUATED = 256  # examples per batch in validation and test
SCORED = 64  # examples for training-free scores

Reading = Literal["whole", "rows", "pixels"]


@dataclass(frozen=True)
class Examples:
    """inputs: `[n, …]`; targets: class numbers `[n]`; lengths: `[n]` or None."""

    inputs: np.ndarray
    targets: np.ndarray
    lengths: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.targets)

    def take(self, chosen: np.ndarray | slice) -> "Examples":
        lengths = None if self.lengths is None else self.lengths[chosen]
        return Examples(self.inputs[chosen], self.targets[chosen], lengths)


@dataclass(frozen=True)
class Classification:
    """Predicts the class of an example.

    mean, deviation: of image pixels, by channel. Images are stored as bytes and normalised batch
        by batch.
    reading: images as they are, or as sequences of their rows or pixels.
    """

    name: str
    shape: DataShape
    train: Examples
    valid: Examples
    test: Examples
    batch: int
    mean: tuple[float, ...] = field(default=())
    deviation: tuple[float, ...] = field(default=())
    reading: Reading = "whole"

    metric = "accuracy"
    higher_is_better = True
    carries_state = False

    def training_batches(self, seed: int) -> Iterator[Batch]:
        """Yield batches of shuffled epochs endlessly, without an epoch's smaller last batch."""
        epoch = 0
        batch = min(self.batch, len(self.train))
        while True:
            order = np.random.default_rng([seed, epoch]).permutation(len(self.train))
            for start in range(0, len(order) - batch + 1, batch):
                yield self._batch(self.train.take(order[start : start + batch]))
            epoch += 1

    def validation_batches(self) -> Iterator[Batch]:
        return self._in_order(self.valid)

    def test_batches(self) -> Iterator[Batch]:
        return self._in_order(self.test)

    def score_batch(self, seed: int) -> Batch:
        """Return the first training examples, the same for every seed."""
        return self._batch(self.train.take(slice(0, SCORED)))

    def loss(self, answers: Tensor, targets: Tensor) -> Tensor:
        return cross_entropy(answers, targets)

    def measure(self, answered: Iterable[tuple[Tensor, Tensor]]) -> Measured:
        return Measured(*mean_cross_entropy(answered))

    def _in_order(self, examples: Examples) -> Iterator[Batch]:
        for start in range(0, len(examples), EVALUATED):
            yield self._batch(examples.take(slice(start, start + EVALUATED)))

    def _batch(self, examples: Examples) -> Batch:
        inputs = tensor(examples.inputs)
        if self.mean:
            mean, deviation = (
                torch.tensor(values).view(-1, 1, 1) for values in (self.mean, self.deviation)
            )
            inputs = as_read((inputs.float() - mean) / deviation, self.reading)
        if examples.lengths is None:
            return Batch(inputs, tensor(examples.targets))
        longest = int(examples.lengths.max())
        return Batch(inputs[:, :longest], tensor(examples.targets), tensor(examples.lengths))


def as_read(images: Tensor, reading: Reading) -> Tensor:
    """Return images `[B, C, H, W]` as they are, as rows `[B, H, C·W]` or as pixels `[B, H·W, C]`.

    Pixels follow each other row by row, as in sequential MNIST (Le et al. 2015,
    https://arxiv.org/abs/1504.00941, section 4.3).
    """
    if reading == "rows":
        return images.permute(0, 2, 1, 3).flatten(2)
    return images.permute(0, 2, 3, 1).flatten(1, 2) if reading == "pixels" else images


def shape_as_read(shape: DataShape, reading: Reading) -> DataShape:
    """Return the shape of batches of images when they are read so."""
    if reading == "whole":
        return shape
    features = shape.inputs * (shape.width if reading == "rows" else 1)
    return DataShape("features", features, shape.outputs, every_step=False)
