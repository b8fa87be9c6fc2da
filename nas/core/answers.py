"""Helpers that tasks share: cross-entropy, accuracy, and arrays as tensors."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from search_spaces.inputs import answer_of

IGNORED = -100  # a target that does not count; PyTorch's cross-entropy skips it


def cross_entropy(answers: Any, targets: Tensor) -> Tensor:
    """Return the mean cross-entropy of `[…, classes]` against class numbers `[…]`, in nats.

    Targets that are `IGNORED` do not count.
    """
    answers = answer_of(answers)
    return functional.cross_entropy(answers.flatten(0, -2), targets.flatten())


def mean_cross_entropy(answered: Iterable[tuple[Any, Tensor]]) -> tuple[float, float]:
    """Return cross-entropy and accuracy, both averaged over all answers that count.

    Raises `ValueError` if no answer counts.
    """
    loss = correct = answers_seen = 0.0
    for returned, targets in answered:
        counted = int((targets != IGNORED).sum())
        if not counted:
            continue
        answers = answer_of(returned)
        loss += float(cross_entropy(answers, targets)) * counted
        correct += float((answers.argmax(-1) == targets).sum())
        answers_seen += counted
    if not answers_seen:
        raise ValueError("nothing to measure: no example has a target that counts")
    return loss / answers_seen, correct / answers_seen


def tensor(array) -> Tensor:
    """Copy an array into a tensor, because shared arrays are read-only."""
    return torch.tensor(array)
