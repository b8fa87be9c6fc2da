"""SynFlow: how much signal flows through an untrained RNN's weights, independently of the data."""

import copy
import math
from functools import partial

import torch
from torch import nn

from compress.pruning.synaptic_flow import from_ones, linear_cell
from nas.core.score import ScoreFailed
from nas.core.task import Batch
from nas.scores.recurrent import cells_of, first_sequences, layer_outputs


class SynapticFlow:
    """log Σ |w · ∂R/∂w| over the weights of the recurrent layers; R is the sum of the outputs.

    R is computed with |w| for w, input and states of ones, and identity activations: the network of
    Tanaka et al. 2020, https://arxiv.org/abs/2006.05467, eq. 2. It takes one step: over many, cells
    that multiply states grow doubly exponentially. The logarithm keeps ranks and tames sums of
    products over layers, which span orders of magnitude. Tanaka's proof needs homogeneous
    activations; code that keeps tanh and feeds it ones gets saturated units without a gradient.
    """

    name = "synflow"
    higher_is_better = True

    def __call__(
        self, model: nn.Module, batch: Batch, generator: torch.Generator
    ) -> dict[str, float]:
        cells_of(model)  # fail before copying
        linear = copy.deepcopy(model).double()
        layers = cells_of(linear)
        for layer in layers:
            layer.cell, layer.backend = linear_cell(layer.cell), "reference"
            layer.register_forward_pre_hook(partial(from_ones, layer is layers[0]))
        weights = [w for layer in layers for w in layer.parameters()]
        with torch.no_grad():
            for weight in weights:
                weight.abs_()
        with torch.enable_grad():
            flow = layer_outputs(linear, first_sequences(batch, 1))[-1].sum()
            gradients = torch.autograd.grad(flow, weights, allow_unused=True)
        total = sum(
            float((w.detach() * g).abs().sum())
            for w, g in zip(weights, gradients, strict=True)
            if g is not None
        )
        if not 0 < total < math.inf:
            raise ScoreFailed(f"{self.name}: the flow is {total}")
        return {self.name: math.log(total)}
