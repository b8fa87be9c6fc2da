"""The interface of training-free scores."""

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from nas.core.task import Batch

if TYPE_CHECKING:
    import torch
    from torch import nn


class ScoreFailed(ValueError):
    """Raised when a score cannot be computed for a model; the message says why."""


@runtime_checkable
class Score(Protocol):
    """Rates a model without training it.

    A call takes a model in evaluation mode, a batch of the task and a seeded generator. It
    returns values by name, the one that guides a search first, or raises `ScoreFailed` for a
    model that it cannot rate.
    """

    name: str
    higher_is_better: bool

    def __call__(
        self, model: "nn.Module", batch: Batch, generator: "torch.Generator"
    ) -> dict[str, float]: ...
