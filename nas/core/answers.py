"""Helpers that tasks share: cross-entropy, accuracy, and arrays as tensors."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from search_spaces.inputs import answer_of


def cross_entropy(answers: Any, targets: Tensor) -> Tensor:
    """Return the mean cross-entropy of `[…, classes]` against class numbers `[…]`, in nats."""
    answers = answer_of(answers)
    return functional.cross_entropy(answers.flatten(0, -2), targets.flatten())


def mean_cross_entropy(answered: Iterable[tuple[Any, Tensor]]) -> tuple[float, float]:
    """Return cross-entropy and accuracy, both averaged over all answers."""
    loss = correct = answers_seen = 0.0
    for returned, targets in answered:
        answers = answer_of(returned)
        loss += float(cross_entropy(answers, targets)) * targets.numel()
        correct += float((answers.argmax(-1) == targets).sum())
        answers_seen += targets.numel()
    return loss / answers_seen, correct / answers_seen


def tensor(array) -> Tensor:
    """Copy an array into a tensor, because shared arrays are read-only."""
    return torch.tensor(array)
