"""The goals by name: classes, numbers, labels, and the embeddings of a teacher."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.core.errors import BadInput
from nas.core.task import Measured
from nas.tasks.goals import Answered, Goal, described
from nas.tasks.sums import ErrorSums, Means
from search_spaces.inputs import answer_of, call


@dataclass(frozen=True)
class Classes:
    """Cross-entropy of class numbers: one per example, or one per step.

    ignore: the class number of steps that do not count.
    shift: the answer after a step is compared with the target of the next one, as networks of
        `transformers` expect; else with the target of the same step.
    """

    metric: Literal["accuracy", "perplexity"] = "accuracy"
    ignore: int = -100
    shift: bool = False

    @property
    def higher_is_better(self) -> bool:
        return self.metric == "accuracy"

    def targets(self, inputs: Any, targets: Any, batch: Any) -> Any:
        return required(targets)

    def outputs(self, targets: Iterable[Tensor]) -> int:
        return 1 + max(int(part[part != self.ignore].max()) for part in targets)

    def is_every_step(self, targets: Tensor) -> bool:
        return targets.dim() > 1

    def loss(self, answers: Any, targets: Tensor) -> Tensor:
        logits, wanted = self._aligned(answers, targets)
        return functional.cross_entropy(logits, wanted, ignore_index=self.ignore)

    def measure(self, answered: Answered) -> Measured:
        means = Means()
        for answers, targets in answered:
            logits, wanted = self._aligned(answers, targets)
            counted = wanted != self.ignore
            if not counted.any():
                continue
            losses = functional.cross_entropy(logits[counted], wanted[counted])
            correct = (logits.argmax(1) == wanted)[counted].double().mean()
            means.add(int(counted.sum()), losses, correct)
        loss, accuracy = means.values()
        return Measured(loss, accuracy if self.higher_is_better else _exp(loss))

    def _aligned(self, answers: Any, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits `[n, classes]` and class numbers `[n]`."""
        logits = answer_of(answers)
        if logits.shape[:-1] != targets.shape:
            raise BadInput(
                f"the network answers {described(logits)}, but the targets are "
                f"{described(targets)}: it must answer one number per class, in the last "
                "dimension, for each target"
            )
        if self.shift:
            logits, targets = logits[:, :-1], targets[:, 1:]
        return logits.flatten(0, -2), targets.flatten()


class _Numbers:
    """What goals have in common whose targets are numbers, `[B, outputs]` or `[B, T, outputs]`."""

    def targets(self, inputs: Any, targets: Any, batch: Any) -> Any:
        return required(targets).float()

    def outputs(self, targets: Iterable[Tensor]) -> int:
        return _width(next(iter(targets)))

    def is_every_step(self, targets: Tensor) -> bool:
        return targets.dim() > 2


@dataclass(frozen=True)
class Regression(_Numbers):
    """Squared error of numbers. The metric is taken over all examples, not as a mean of batches.

    metric: "mse", "mae", or "r2", the mean over the outputs of the share of variance explained.
    """

    metric: Literal["mse", "mae", "r2"] = "mse"

    @property
    def higher_is_better(self) -> bool:
        return self.metric == "r2"

    def loss(self, answers: Any, targets: Tensor) -> Tensor:
        return functional.mse_loss(_like(answers, targets), targets)

    def measure(self, answered: Answered) -> Measured:
        sums = ErrorSums()
        for answers, targets in answered:
            sums.add(_like(answers, targets), targets)
        return Measured(sums.mse, getattr(sums, self.metric))


@dataclass(frozen=True)
class MultiLabel(_Numbers):
    """Binary cross-entropy of labels that are 0 or 1 each; F1 counts all labels together."""

    metric: Literal["f1"] = "f1"

    higher_is_better = True

    def loss(self, answers: Any, targets: Tensor) -> Tensor:
        return functional.binary_cross_entropy_with_logits(_like(answers, targets), targets)

    def measure(self, answered: Answered) -> Measured:
        means, hits, either = Means(), 0, 0
        for answers, targets in answered:
            means.add(targets.numel(), self.loss(answers, targets))
            said, true = _like(answers, targets) > 0, targets > 0.5
            hits += int((said & true).sum())
            either += int(said.sum()) + int(true.sum())
        (loss,) = means.values()
        return Measured(loss, 2 * hits / max(1, either))


@dataclass(frozen=True)
class Embedding:
    """Answers as near as possible to a teacher's; needs no targets.

    teacher: a function at the top of a module that returns the trained network.
    loss_of: "cosine" for 1 - cosine, or "mse". The metric is the mean cosine over all examples.
    """

    teacher: Callable[[], nn.Module]
    loss_of: Literal["cosine", "mse"] = "cosine"
    metric: Literal["cosine"] = "cosine"

    higher_is_better = True

    def __post_init__(self) -> None:
        if isinstance(self.teacher, nn.Module) or not callable(self.teacher):
            raise BadInput("teacher is a network: pass the function that returns it")
        if self.loss_of not in ("cosine", "mse"):
            raise BadInput(f'embedding has no loss "{self.loss_of}": use "cosine" or "mse"')

    def targets(self, inputs: Any, targets: Any, batch: Any) -> Any:
        with torch.no_grad():
            return answer_of(call(_network(self.teacher), inputs))

    def outputs(self, targets: Iterable[Tensor]) -> int:
        return _width(next(iter(targets)))

    def is_every_step(self, targets: Tensor) -> bool:
        return targets.dim() > 2

    def loss(self, answers: Any, targets: Tensor) -> Tensor:
        if self.loss_of == "mse":
            return functional.mse_loss(_like(answers, targets), targets)
        return (1 - functional.cosine_similarity(_like(answers, targets), targets, dim=-1)).mean()

    def measure(self, answered: Answered) -> Measured:
        means = Means()
        for answers, targets in answered:
            cosine = functional.cosine_similarity(_like(answers, targets), targets, dim=-1)
            means.add(len(targets), self.loss(answers, targets), cosine.mean())
        return Measured(*means.values())


# by name: how the goal is made, and its metrics, the default first
GOALS: dict[str, tuple[Callable[..., Goal], tuple[str, ...]]] = {
    "classification": (Classes, ("accuracy",)),
    "sequence-labels": (Classes, ("accuracy",)),
    "language-model": (Classes, ("perplexity",)),
    "regression": (Regression, ("mse", "mae", "r2")),
    "multi-label": (MultiLabel, ("f1",)),
    "embedding": (Embedding, ("cosine",)),
}


def required(targets: Any) -> Tensor:
    """Return the targets; raises `BadInput` if a batch has none."""
    if not isinstance(targets, Tensor):
        raise BadInput(
            "a batch has no targets: let the loader yield (inputs, targets), or a dictionary with "
            '"labels"'
        )
    return targets


@lru_cache(maxsize=2)
def _network(teacher: Callable[[], nn.Module]) -> nn.Module:
    with torch.inference_mode(False), torch.enable_grad():
        return teacher().eval()


def _like(answers: Any, targets: Tensor) -> Tensor:
    """Return the answers in the shape of the targets: `[B, 1]` fits `[B]`."""
    answer = answer_of(answers)
    if answer.numel() != targets.numel():
        raise BadInput(
            f"the network answers {described(answer)}, but the targets are {described(targets)}"
        )
    return answer.reshape(targets.shape)


def _width(targets: Tensor) -> int:
    return targets.shape[-1] if targets.dim() > 1 else 1


def _exp(loss: float) -> float:
    return math.exp(min(loss, 700.0))
