"""Parameters and floating-point operations: the baselines for every score."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
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
    """Return the operations of one sequence of the batch, divided by its steps if it has any."""
    return round(total_flops(model, batch) / _steps(first(batch.inputs, 1)))


def total_flops(model: nn.Module, batch: Batch) -> int:
    """Return the operations of one example of the batch.

    Counts only multiplications and additions of matrix products, as `torch.utils.flop_counter`
    does. Layers are computed step by step: the counter knows no fused LSTM or encoder layer.
    """
    one = first(batch.inputs, 1)
    lengths = None if batch.lengths is None else batch.lengths[:1]
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), on_reference(model), _unfused(), counter:
        model(one, None, lengths)
    return counter.get_total_flops()


@contextmanager
def _unfused() -> Iterator[None]:
    was_fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Intel's GPUs
            with torch.backends.mkldnn.flags(enabled=False):
                yield
    finally:
        torch.backends.mha.set_fastpath_enabled(was_fast)


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
