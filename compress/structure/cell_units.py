"""Exact removal of hidden units from a layer of any cell.

A unit is a place in every node of the cell: row `k` of all weights. Whatever reads a node of the
layer, inner ones included, loses the column `k`.
"""

import numpy as np
import torch

from kernels.cell.layer import CompiledRNN


def keep_cell_units(
    layer: CompiledRNN, units: np.ndarray, inputs: np.ndarray | None = None
) -> CompiledRNN:
    """A layer of one head with only these units; its weights are copies.

    inputs: numbers of the input features kept; None for all.
    """
    weight = next(layer.parameters())
    rows = torch.from_numpy(units)
    columns = torch.arange(layer.input_size) if inputs is None else torch.from_numpy(inputs)
    smaller = CompiledRNN(
        layer.cell,
        len(columns),
        len(rows),
        backend=layer.backend,
        weight_drop=layer.weight_drop,
        frozen_recurrent=layer.frozen_recurrent,
    )
    with torch.no_grad():
        for name, parameter in smaller.named_parameters():
            kept = getattr(layer, name)[:, :, rows][..., rows] if name == "on_h" else None
            if kept is None:
                kept = getattr(layer, name)[:, rows]
            parameter.copy_(kept[..., columns] if name == "on_x" else kept)
    return smaller.to(weight).train(layer.training)


def cell_unit_norms(layer: CompiledRNN) -> np.ndarray:
    """Squared norm of each unit's incoming, recurrent and outgoing weights within, `[H]`."""
    total = np.zeros(layer.hidden_size)
    for name, parameter in layer.named_parameters():
        squares = parameter.detach().double().square().cpu().numpy()
        if name == "on_h":  # [connections, heads, H, H]
            total += squares.sum((0, 1, 3)) + squares.sum((0, 1, 2))
        elif name != "bias":  # on_x [n, H, C], diagonal [n, H]
            total += squares.reshape(*squares.shape[:2], -1).sum((0, 2))
    return total
