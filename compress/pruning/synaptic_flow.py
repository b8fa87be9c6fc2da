"""SynFlow: scores how much signal flows through each weight, independently of the data."""

from collections.abc import Sequence
from copy import deepcopy
from functools import partial

import torch
from torch import Tensor, nn

from compress.pruning.masks import Scores
from compress.pruning.targets import Target, parameters_of
from kernels.cell.layer import CompiledRNN
from kernels.cell.spec import CellSpec, Node
from search_spaces.inputs import answer_of


def synaptic_flow(model: nn.Module, targets: Sequence[Target], example: Tensor) -> Scores:
    """Return |w · ∂R/∂w|, where R is the sum of the outputs for an input of ones, with |w| for w.

    Cells take one step from states of ones, with identity activations, because the paper's proof
    needs homogeneous activations; ReLUs pass positive values unchanged.
    example: one input; only its shape matters. If it holds tokens, the first cells read ones
        instead of embeddings.

    Tanaka et al. 2020, https://arxiv.org/abs/2006.05467, eq. 2; designed for pruning in 100
    rounds, to level `1 - (1 - level)^(k/100)` in round k (algorithm 1).
    """
    linear = deepcopy(model).double().eval()
    layers = [module for module in linear.modules() if isinstance(module, CompiledRNN)]
    tokens = not example.is_floating_point()
    for layer in layers:
        layer.cell, layer.backend = linear_cell(layer.cell), "reference"
        layer.register_forward_pre_hook(partial(from_ones, tokens and layer is layers[0]))
    with torch.no_grad():
        for tensor in linear.state_dict().values():
            if tensor.is_floating_point():
                tensor.abs_()
    if not tokens:
        example = torch.ones_like(example, dtype=torch.double)
    weights = parameters_of(linear, targets)
    with torch.enable_grad():
        flow = answer_of(linear(example)[0]).sum()
        slopes = torch.autograd.grad(flow, list(weights.values()), allow_unused=True)
    return {
        name: torch.zeros_like(w) if slope is None else (w.detach() * slope).abs()
        for (name, w), slope in zip(weights.items(), slopes, strict=True)
    }


def from_ones(first: bool, layer: nn.Module, read: tuple) -> tuple:
    """Replace a layer's inputs by one step (of ones for the first layer) and states of ones."""
    x: Tensor = read[0][:, :1].double()
    assert isinstance(layer, CompiledRNN)
    states = tuple(torch.ones_like(s) for s in layer.initial_state(len(x), x))
    return (torch.ones_like(x) if first else x, states, None)


def linear_cell(cell: CellSpec) -> CellSpec:
    """Return the cell with identity activations."""
    return CellSpec(
        tuple(
            Node("identity", node.inputs) if node.op.startswith("activation_") else node
            for node in cell.nodes
        ),
        cell.outputs,
    )
