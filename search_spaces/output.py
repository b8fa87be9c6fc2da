"""What every model returns, whichever space built it."""

from typing import NamedTuple

from torch import Tensor

States = tuple[tuple[Tensor, ...], ...]  # L layers of S states [B, H]


class Output(NamedTuple):
    """What a model returns when it is called as `model(inputs, state=None, lengths=None)`.

    answers: logits, `[B, T, outputs]` or `[B, outputs]`.
    state: what to pass with the next piece of the same sequences; None if the model keeps none.
    penalty: a scalar to add to the loss in training.
    """

    answers: Tensor
    state: States | None
    penalty: Tensor
