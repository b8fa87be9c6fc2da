"""The interface of training-free scores."""

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from nas.core.task import Batch

if TYPE_CHECKING:
    import torch
    from torch import nn


class ScoreFailed(ValueError):
    """The score cannot be computed for this model; the message says why."""


@runtime_checkable
class Score(Protocol):
    """Rates a model that has not been trained.

    Called with the model in evaluation mode, a batch of the task and a seeded generator, it
    returns its values by name, the one to search by first. It raises `ScoreFailed` for a model
    that it cannot rate.
    """

    name: str
    higher_is_better: bool

    def __call__(
        self, model: "nn.Module", batch: Batch, generator: "torch.Generator"
    ) -> dict[str, float]: ...
