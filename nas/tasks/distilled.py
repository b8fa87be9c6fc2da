"""A classification in which a student learns a teacher's answers, not the labels."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from compress.distillation import Method, distillation_loss
from nas.tasks.classification import Classification
from nas.tasks.task import Batch, Measured
from search_spaces.space import DataShape


@dataclass(frozen=True)
class Distilled:
    """The training images with the teacher's logits; validation by the labels as ever.

    logits: `[n, classes]` of the training examples, in their order.
    Test data are not to be had here: a search that asks for them is wrong.
    """

    task: Classification
    logits: np.ndarray
    method: Method = "mse"
    temperature: float = 4.0

    metric = "accuracy"
    higher_is_better = True
    carries_state = False

    @property
    def name(self) -> str:
        return self.task.name

    @property
    def shape(self) -> DataShape:
        return self.task.shape

    def training_batches(self, seed: int) -> Iterator[Batch]:
        """Batches whose targets are logits `[B, classes]`."""
        train = replace(self.task.train, targets=self.logits)
        return replace(self.task, train=train).training_batches(seed)

    def validation_batches(self) -> Iterator[Batch]:
        return self.task.validation_batches()

    def test_batches(self) -> Iterator[Batch]:
        raise RuntimeError("the test data are not for searching: they are used once, at the end")

    def score_batch(self, seed: int) -> Batch:
        return self.task.score_batch(seed)

    def loss(self, answers: Tensor, targets: Tensor) -> Tensor:
        return distillation_loss(answers, targets, self.method, self.temperature)

    def measure(self, answered: Iterable[tuple[Tensor, Tensor]]) -> Measured:
        return self.task.measure(answered)
