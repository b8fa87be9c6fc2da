"""Running a cell over time: the one door to its implementations."""

import os
from collections.abc import Sequence

from torch import Tensor

from kernels.cell.reference import reference_rnn
from kernels.cell.spec import CellSpec

IMPLEMENTATIONS = {"reference": reference_rnn}


def choose_backend(wanted: str = "auto") -> str:
    """The implementation that will run.

    wanted: a key of `IMPLEMENTATIONS`, or "auto": the variable NAS_KERNELS, else the fastest.
    Raises `ValueError` for a name that is not there.
    """
    name = os.environ.get("NAS_KERNELS", "reference") if wanted == "auto" else wanted
    if name not in IMPLEMENTATIONS:
        raise ValueError(f'no kernels "{name}"; there are auto, {", ".join(IMPLEMENTATIONS)}')
    return name


def run_cell(
    cell: CellSpec,
    x: Tensor,
    state: Sequence[Tensor],
    weights: Sequence[Sequence[Tensor]],
    lengths: Tensor | None = None,
    backend: str = "auto",
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run a cell over time; arguments and result as in `reference_rnn`."""
    return IMPLEMENTATIONS[choose_backend(backend)](cell, x, state, weights, lengths)
