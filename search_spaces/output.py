"""What every model returns, whichever space built it."""

from typing import Any, NamedTuple

from torch import Tensor

States = tuple[tuple[Tensor, ...], ...]  # L layers of S states [B, H]


class Output(NamedTuple):
    """What a model returns when it is called as `model(inputs, state=None, lengths=None)`.

    answers: logits, `[B, T, outputs]` or `[B, outputs]`; or whatever a network of the user
        returns, a tuple or a dictionary for instance: see `search_spaces.inputs.answer_of`.
    state: what to pass with the next piece of the same sequences; None if the model keeps none.
    penalty: a scalar to add to the loss in training.
    """

    answers: Any
    state: States | None
    penalty: Tensor
