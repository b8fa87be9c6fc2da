"""Parameters and floating-point operations: the baselines that every score is held against."""

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from kernels.cell.layer import on_reference
from nas.core.task import Batch


def count_parameters(model: nn.Module) -> int:
    """Numbers that training changes; a shared weight counts once."""
    return sum(parameter.numel() for parameter in model.parameters())


def count_flops(model: nn.Module, batch: Batch) -> int:
    """Operations of one sequence of the batch, divided by its steps where it has steps.

    Multiplications and additions of matrix products only, two for each pair, as
    `torch.utils.flop_counter` counts them.
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
    """Floating-point operations, as `count_flops`."""

    name = "flops"
    higher_is_better = True

    def __call__(
        self, model: nn.Module, batch: Batch, generator: torch.Generator
    ) -> dict[str, float]:
        return {self.name: float(count_flops(model, batch))}
