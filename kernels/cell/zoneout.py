"""Zoneout: in training, units keep their previous state at random.

Krueger et al. 2017, https://arxiv.org/abs/1606.01305, equations 3 and 4. The random masks stand
beside x, and a linear node with a fixed identity reads them, so that every backend runs the cell.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from kernels.cell.spec import CellSpec, Node
from kernels.cell.weights import Weights, layout_of

Rates = tuple[float, ...]


def rates_of(zoneout: float | Sequence[float], states: int) -> Rates:
    """Return one rate per state. Raises `ValueError` for another number or for rates below 0."""
    rates = (zoneout,) * states if isinstance(zoneout, int | float) else tuple(zoneout)
    if len(rates) != states or not all(0 <= rate < 1 for rate in rates):
        raise ValueError(
            f"zoneout must be one rate, or {states} for the states, from 0 to below 1: {zoneout}"
        )
    return rates


def inference_cell(cell: CellSpec, rates: Rates) -> CellSpec:
    """Return the cell for inference: new states mixed with previous ones by the rates."""
    kept = [Node("constant", (), rate) for rate in rates]
    return _blended(cell, kept)


def training_cell(cell: CellSpec) -> CellSpec:
    """Return the cell for training: it reads x and a mask per state, see `with_masks`."""
    return _blended(cell, [Node("linear", (0,)) for _ in range(cell.states)])


def _blended(cell: CellSpec, kept: Sequence[Node]) -> CellSpec:
    """Return the cell whose states become kept · previous + (1 - kept) · new."""
    states = cell.states
    first = states + 1 + len(cell.nodes)
    blends = [
        Node("blend", (first + state, state + 1, new)) for state, new in enumerate(cell.outputs)
    ]
    outputs = tuple(first + states + state for state in range(states))
    return CellSpec((*cell.nodes, *kept, *blends), outputs)


def with_masks(cell: CellSpec, x: Tensor, weights: Weights, rates: Rates) -> tuple[Tensor, Weights]:
    """Return x with random masks, `[…, C + S·H]`, and the weights of `training_cell(cell)`."""
    states, hidden, features = len(rates), weights.bias.shape[1], x.shape[-1]
    reads = layout_of(cell).reading_x
    rate = torch.tensor(rates, dtype=x.dtype, device=x.device).repeat_interleave(hidden)
    masks = torch.bernoulli(rate.expand(*x.shape[:-1], -1))
    identity = torch.eye(states * hidden, dtype=x.dtype, device=x.device)
    reading = pad(identity.unflatten(0, (states, hidden)), (features, 0))
    on_x = torch.cat([pad(weights.on_x, (0, states * hidden)), reading])
    bias = weights.bias
    bias = torch.cat([bias[:reads], bias.new_zeros(states, hidden), bias[reads:]])
    return torch.cat([x, masks], -1), weights._replace(on_x=on_x, bias=bias)
