"""Parameters and floating-point operations: the baselines for every score."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from kernels.cell.layer import on_reference
from nas.core.task import Batch
from search_spaces.inputs import first


def count_parameters(model: nn.Module) -> int:
    """Return the number of trainable parameters; a shared weight counts once."""
    return sum(parameter.numel() for parameter in model.parameters())


def count_flops(model: nn.Module, batch: Batch) -> int:
    """Return the operations of one sequence of the batch, divided by its steps if it has any.

    Counts only multiplications and additions of matrix products, as `torch.utils.flop_counter`
    does.
    """
    one = first(batch.inputs, 1)
    lengths = None if batch.lengths is None else batch.lengths[:1]
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), on_reference(model), counter:
        model(one, None, lengths)
    return round(counter.get_total_flops() / _steps(one))


def _steps(inputs: Any) -> int:
    """Return the steps of a sequence, `[1, T]` of tokens or `[1, T, C]`; 1 for anything else."""
    is_sequence = isinstance(inputs, Tensor) and (
        inputs.ndim == 3 or (inputs.ndim == 2 and not inputs.is_floating_point())
    )
    return inputs.shape[1] if is_sequence else 1


class ParameterCount:
    """The number of parameters."""

    name = "parameters"
    higher_is_better = True

    def __call__(
        self, model: nn.Module, batch: Batch, generator: torch.Generator
    ) -> dict[str, float]:
        return {self.name: float(count_parameters(model))}


class FlopCount:
    """The number of floating-point operations, see `count_flops`."""

    name = "flops"
    higher_is_better = True

    def __call__(
        self, model: nn.Module, batch: Batch, generator: torch.Generator
    ) -> dict[str, float]:
        return {self.name: float(count_flops(model, batch))}
