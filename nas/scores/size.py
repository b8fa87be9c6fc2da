"""Parameters and floating-point operations: the baselines for every score."""

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from kernels.cell.layer import on_reference
from nas.core.task import Batch


def count_parameters(model: nn.Module) -> int:
    """Return the number of trainable parameters; a shared weight counts once."""
    return sum(parameter.numel() for parameter in model.parameters())


def count_flops(model: nn.Module, batch: Batch) -> int:
    """Return the operations of one sequence of the batch, divided by its steps if it has any.

    Counts only multiplications and additions of matrix products, as `torch.utils.flop_counter`
    does.
    """
    one = batch.inputs[:1]
    lengths = None if batch.lengths is None else batch.lengths[:1]
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), on_reference(model), counter:
        model(one, None, lengths)
    return round(counter.get_total_flops() / (1 if one.ndim == 4 else one.shape[1]))


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
