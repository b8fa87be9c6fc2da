"""What a network is called with while its files are written and checked."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from search_spaces.inputs import tensors_of


@dataclass(frozen=True)
class Inputs:
    """Positional and named arguments of a network; the first axis of their tensors counts examples.

    steps: whether the second axis of the first tensor counts the steps of sequences.
    """

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    steps: bool

    @classmethod
    def of(cls, given: Any, steps: bool) -> "Inputs":
        """Return the inputs of a task: a tensor, a tuple of tensors, or a dictionary of them."""
        if isinstance(given, Mapping):
            return cls((), dict(given), steps)
        return cls(tuple(given) if isinstance(given, tuple | list) else (given,), {}, steps)

    @property
    def first(self) -> Tensor:
        return next(tensors_of((self.args, self.kwargs)))

    def changed(self, change: Callable[[Tensor], Tensor]) -> "Inputs":
        """Return the inputs with a change to each tensor that has an entry per example."""
        count = len(self.first)

        def apply(value: Any) -> Any:
            fits = isinstance(value, Tensor) and value.dim() and len(value) == count
            return change(value) if fits else value

        args, kwargs = map(apply, self.args), {k: apply(v) for k, v in self.kwargs.items()}
        return Inputs(tuple(args), kwargs, self.steps)

    def examples(self, number: int) -> "Inputs":
        """Return this many examples, the given ones over and over."""
        order = torch.arange(number) % len(self.first)
        return self.changed(lambda tensor: tensor[order])

    def other_length(self) -> "Inputs":
        """Return two examples of half the steps, or of twice as many if there are few."""
        steps = self.first.shape[1]
        order = torch.arange(steps // 2 if steps > 3 else 2 * steps) % steps

        def change(tensor: Tensor) -> Tensor:
            return tensor[:, order] if tensor.dim() > 1 and tensor.shape[1] == steps else tensor

        return self.examples(2).changed(change)

    def answers(self, model: nn.Module) -> list[Tensor]:
        """Return every tensor that the model answers."""
        with torch.no_grad():
            return list(tensors_of(model(*self.args, **self.kwargs)))
