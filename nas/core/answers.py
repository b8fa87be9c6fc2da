"""Helpers that tasks share: cross-entropy, accuracy, and arrays as tensors."""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional


def cross_entropy(answers: Tensor, targets: Tensor) -> Tensor:
    """The mean cross-entropy of `[…, classes]` against class numbers `[…]`, in nats."""
    return functional.cross_entropy(answers.flatten(0, -2), targets.flatten())


def mean_cross_entropy(answered: Iterable[tuple[Tensor, Tensor]]) -> tuple[float, float]:
    """Return cross-entropy and accuracy, both averaged over all answers."""
    loss = correct = answers_seen = 0.0
    for answers, targets in answered:
        loss += float(cross_entropy(answers, targets)) * targets.numel()
        correct += float((answers.argmax(-1) == targets).sum())
        answers_seen += targets.numel()
    return loss / answers_seen, correct / answers_seen


def tensor(array) -> Tensor:
    """Copy an array into a tensor, because shared arrays are read-only."""
    return torch.tensor(array)
