"""Exact removal of hidden units from LSTM, GRU and plain recurrent layers.

A layer with `G` gates has the rows of unit `k` at `g * H + k` of its weights and biases. When units
are removed, these rows go, and the columns `k` of whatever reads the states: the layer's own
recurrent weights and the next layer's input weights. The outputs of the units that stay are the
same when all weights that read the removed ones are zero.
"""

import copy
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

GATES = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}


def keep_units(
    module: nn.RNNBase, units: Sequence[np.ndarray], inputs: np.ndarray | None = None
) -> nn.RNNBase:
    """A recurrent module with only these units; its weights are copies.

    units: numbers of the units kept, for each layer and direction in PyTorch's order; all of the
        same length.
    inputs: numbers of the input features kept; None for all.
    Raises `ValueError` for projections, or for different numbers of units.
    """
    if module.proj_size:
        raise ValueError("units of an LSTM with proj_size cannot be removed: use proj_size=0")
    if len({len(kept) for kept in units}) != 1:
        raise ValueError(f"every layer must keep as many units, not {[len(k) for k in units]}")
    directions = 2 if module.bidirectional else 1
    if len(units) != module.num_layers * directions:
        raise ValueError(f"{module.num_layers * directions} lists of units are needed")
    smaller = _empty(module, module.input_size if inputs is None else len(inputs), len(units[0]))
    columns = np.arange(module.input_size) if inputs is None else np.asarray(inputs)
    for layer in range(module.num_layers):
        kept = units[layer * directions : (layer + 1) * directions]
        for direction, own in enumerate(kept):
            suffix = f"_l{layer}" + ("_reverse" if direction else "")
            _copy(module, smaller, suffix, np.asarray(own), columns)
        columns = np.concatenate([d * module.hidden_size + k for d, k in enumerate(kept)])
    return smaller


def unit_norms(module: nn.RNNBase) -> tuple[np.ndarray, ...]:
    """Squared norm of each unit's incoming and recurrent weights, `[H]` a layer and direction."""
    H = module.hidden_size
    norms = []
    for suffix in _suffixes(module):
        inner: Tensor = getattr(module, f"weight_ih{suffix}").detach()
        own: Tensor = getattr(module, f"weight_hh{suffix}").detach()
        rows = inner.square().sum(1).view(-1, H).sum(0) + own.square().sum(1).view(-1, H).sum(0)
        norms.append((rows + own.square().sum(0)).double().cpu().numpy())
    return tuple(norms)


def _suffixes(module: nn.RNNBase) -> list[str]:
    ends = ("", "_reverse") if module.bidirectional else ("",)
    return [f"_l{layer}{end}" for layer in range(module.num_layers) for end in ends]


def _empty(module: nn.RNNBase, inputs: int, hidden: int) -> nn.RNNBase:
    options = {
        "num_layers": module.num_layers,
        "bias": module.bias,
        "batch_first": module.batch_first,
        "dropout": module.dropout,
        "bidirectional": module.bidirectional,
    }
    if isinstance(module, nn.RNN):
        options["nonlinearity"] = module.nonlinearity
    kind = next(k for k in (nn.LSTM, nn.GRU, nn.RNN) if isinstance(module, k))
    weight = module.weight_hh_l0
    return kind(inputs, hidden, device=weight.device, dtype=weight.dtype, **options).train(
        module.training
    )


def _copy(
    module: nn.RNNBase, smaller: nn.RNNBase, suffix: str, units: np.ndarray, columns: np.ndarray
) -> None:
    gates = GATES[module.mode]
    rows = torch.from_numpy(
        np.concatenate([gate * module.hidden_size + units for gate in range(gates)])
    )
    with torch.no_grad():
        for name, across in (("weight_ih", columns), ("weight_hh", units)):
            kept = getattr(module, name + suffix)[rows][:, torch.from_numpy(across)]
            getattr(smaller, name + suffix).copy_(kept)
        for name in ("bias_ih", "bias_hh") if module.bias else ():
            getattr(smaller, name + suffix).copy_(getattr(module, name + suffix)[rows])


def drop_layers(module: nn.RNNBase, dropped: frozenset[int]) -> nn.RNNBase:
    """A recurrent module without some of its layers; the first cannot go.

    The layer behind a dropped one reads what that one read: both have the width of all hidden
    states, so that the weights fit.
    Raises `ValueError` when the first layer is among them.
    """
    kept = [layer for layer in range(module.num_layers) if layer not in dropped]
    if kept[:1] != [0]:
        raise ValueError("the first layer of a recurrent module reads the input: it must stay")
    source = copy.copy(module)
    source.num_layers = len(kept)
    smaller = _empty(source, module.input_size, module.hidden_size)
    with torch.no_grad():
        for new, old in enumerate(kept):
            for name, value in module.named_parameters():
                if f"_l{old}" in name.removesuffix("_reverse")[-len(f"_l{old}") :]:
                    getattr(smaller, name.replace(f"_l{old}", f"_l{new}")).copy_(value)
    return smaller
