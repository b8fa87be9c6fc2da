"""A task in which a student learns a teacher's answers, not the right ones."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from compress.learning.distillation import distillation_loss
from compress.names import Distillation
from nas.core.task import Batch, Measured, Task
from nas.models.source import ModelSource
from nas.tasks.classification import Classification
from search_spaces.inputs import answer_of
from search_spaces.space import DataShape


class Answered(Protocol):
    """Training batches whose targets are a teacher's logits."""

    def training_batches(self, seed: int) -> Iterator[Batch]: ...


@dataclass(frozen=True)
class Known:
    """A teacher that was asked once. logits: `[n, classes]` of the training examples, in order."""

    task: Classification
    logits: np.ndarray

    def training_batches(self, seed: int) -> Iterator[Batch]:
        train = replace(self.task.train, targets=self.logits)
        return replace(self.task, train=train).training_batches(seed)


@dataclass(frozen=True)
class Asked:
    """A teacher that is asked along the way: the answers to a whole text are too many to keep, and
    loaders of the user may yield other batches each time.

    Its state goes on from batch to batch, as the student's does.
    """

    task: Task
    source: ModelSource

    def training_batches(self, seed: int) -> Iterator[Batch]:
        teacher, state = self.source.build(0).eval(), None
        for batch in self.task.training_batches(seed):
            with torch.no_grad():
                answers, state, _ = teacher(batch.inputs, state, batch.lengths)
            yield batch._replace(targets=answer_of(answers))


@dataclass(frozen=True)
class Distilled:
    """The training data with the teacher's logits; validation by the right answers as ever.

    Test data are not to be had here: a search that asks for them is wrong.
    """

    task: Task
    answered: Answered
    method: Distillation = "mse"
    temperature: float = 4.0

    @property
    def name(self) -> str:
        return self.task.name

    @property
    def metric(self) -> str:
        return self.task.metric

    @property
    def higher_is_better(self) -> bool:
        return self.task.higher_is_better

    @property
    def carries_state(self) -> bool:
        return self.task.carries_state

    @property
    def shape(self) -> DataShape:
        return self.task.shape

    def training_batches(self, seed: int) -> Iterator[Batch]:
        """Batches whose targets are logits `[…, classes]`."""
        return self.answered.training_batches(seed)

    def validation_batches(self) -> Iterator[Batch]:
        return self.task.validation_batches()

    def test_batches(self) -> Iterator[Batch]:
        raise RuntimeError("the test data are not for searching: they are used once, at the end")

    def score_batch(self, seed: int) -> Batch:
        return self.task.score_batch(seed)

    def loss(self, answers: Any, targets: Tensor) -> Tensor:
        answer = answer_of(answers)
        if answer.dim() == 1:
            answer, targets = answer[:, None], targets[:, None]
        return distillation_loss(answer, targets, self.method, self.temperature)

    def measure(self, answered: Iterable[tuple[Any, Any]]) -> Measured:
        return self.task.measure(answered)

    def kept(self, student: float, teacher: float) -> float:
        """Return the share of the teacher's quality that the student keeps, at least 0.

        It is the student's metric over the teacher's, or the inverse if lower is better; 1 for a
        student that is perfect.
        """
        better, worse = (student, teacher) if self.higher_is_better else (teacher, student)
        if worse == 0:
            return 1.0
        return max(0.0, better / worse)
