"""A recurrent network with the layers of a graph, wired by its edges."""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from kernels.cell.layer import CompiledRNN
from kernels.cell.spec import CellSpec
from kernels.cell.weights import Weights, layout_of
from kernels.wired.op import WiredLoops, run_wired, wired_loops
from kernels.wired.wiring import WiredWeights, wiring_of
from search_spaces.output import Output, States
from search_spaces.random_graph.graphs import Parents, layers_of
from search_spaces.rnn_cell.model import features_of, locked_dropout, token_embedding
from search_spaces.space import ModelShape

WIDE = 40  # layers with more units than this on average run faster as whole-matrix products


class WiredRNN(CompiledRNN):
    """A recurrent layer that reads only the inputs that a mask allows.

    wiring: booleans `[H, C]`, the same for every gate of the cell.
    """

    def __init__(
        self, cell: CellSpec, wiring: Tensor, weight_drop: float, generator: torch.Generator
    ) -> None:
        units, inputs = wiring.shape
        super().__init__(cell, inputs, units, weight_drop=weight_drop, generator=generator)
        self.wiring = nn.Buffer(wiring.to(torch.get_default_dtype()), persistent=False)

    def weights(self) -> Weights:
        weights = super().weights()
        return weights._replace(on_x=weights.on_x * self.wiring)


class GraphNetwork(nn.Module):
    """An embedding, a recurrent layer for each layer of the graph, and a head that reads all sinks.

    A layer reads every layer with parents of its nodes, however far back, masked by the edges; the
    first layer reads the whole input. All layers are densely recurrent. A node has `hidden / nodes`
    units, rounded, at least 1, so graphs with any number of nodes are about equally wide.

    published: a node has one unit, and the embedding is as wide as the number of sources, as in
        Darji 2024, section 4.3, https://arxiv.org/abs/2407.20601, which mixes the effects of size
        and wiring. There, a separate recurrent layer reads every skipped layer, and the masks of
        gated cells do not follow the graph; ours do.
    """

    def __init__(
        self,
        cell: CellSpec,
        parents: Parents,
        shape: ModelShape,
        generator: torch.Generator,
        published: bool = False,
    ) -> None:
        super().__init__()
        data, size = shape.data, shape.size
        nodes, self.reads = _layered(parents)
        units = max(1, round(size.hidden / len(parents)))
        if published:
            units, size = 1, replace(size, embedding=len(nodes[0]))
        self.size, self.every_step, self.kind = size, data.every_step, data.kind
        self.cell, self.embedding = cell, None
        features = data.inputs * data.width if data.kind == "images" else data.inputs
        if data.kind == "tokens":
            self.embedding = token_embedding(data.inputs, size.embedding, generator)
            features = size.embedding
        edges = _wirings(parents, nodes, self.reads, features, units)
        self.layers = nn.ModuleList(
            WiredRNN(cell, wiring, size.weight_drop, generator) for wiring in edges
        )
        self.widths = [len(wiring) for wiring in edges]
        self.wiring, self.places = wiring_of(edges, self.reads), _places(cell, edges)
        read = {p for parents_of_one in parents for p in parents_of_one}
        sinks = [node not in read for layer in nodes for node in layer]
        self.sinks = nn.Buffer(
            torch.tensor(sinks).repeat_interleave(units).nonzero()[:, 0], persistent=False
        )
        self.head = nn.Linear(len(self.sinks), data.outputs)
        bound = len(self.sinks) ** -0.5
        nn.init.uniform_(self.head.weight, -bound, bound, generator=generator)
        nn.init.zeros_(self.head.bias)

    def forward(
        self, inputs: Tensor, state: States | None = None, lengths: Tensor | None = None
    ) -> Output:
        """Return logits `[B, T, outputs]` or `[B, outputs]` for inputs of the task's shape."""
        x = features_of(inputs, self.embedding, self.kind, self.size, self.training)
        loops = self._loops(x)
        if loops:
            outputs, states = self._at_once(loops, x, state, lengths)
        else:
            outputs, states = self._layer_by_layer(x, state, lengths)
        if not self.every_step:
            last = torch.cat([last[0] for last in states], dim=-1)
            outputs = last.index_select(-1, self.sinks).unsqueeze(1)
        answers = self.head(locked_dropout(outputs, self.size.dropout, self.training))
        return Output(answers if self.every_step else answers.squeeze(1), states, x.new_zeros(()))

    def _loops(self, x: Tensor) -> WiredLoops | None:
        """Return loops that run all layers at once, if layers are narrow and nothing is between."""
        dropped = self.training and self.size.hidden_dropout
        wide = self.wiring.units > WIDE * len(self.layers)
        if x.device.type != "cpu" or dropped or wide:
            return None
        replaceable = all(layer.is_replaceable for layer in self.layers)
        return wired_loops(self.cell, x.dtype) if replaceable else None

    def _at_once(
        self, loops: WiredLoops, x: Tensor, state: States | None, lengths: Tensor | None
    ) -> tuple[Tensor, States]:
        parts = None if state is None else zip(*state, strict=True)
        joined = parts and [torch.cat(part, dim=-1) for part in parts]
        numbers = torch.cat([parameter.flatten() for parameter in self.layers.parameters()])
        weights = taken(numbers, self.places)
        if self.training and self.size.weight_drop:
            on_h = functional.dropout(weights.on_h, self.size.weight_drop)
            weights = weights._replace(on_h=on_h)
        shown = self.sinks if self.every_step else self.sinks[:0]
        outputs, last = run_wired(loops, self.wiring, x, joined, weights, lengths, shown)
        return outputs, tuple(zip(*(one.split(self.widths, dim=-1) for one in last), strict=True))

    def _layer_by_layer(
        self, x: Tensor, state: States | None, lengths: Tensor | None
    ) -> tuple[Tensor, States]:
        outputs: list[Tensor] = []
        states = []
        for i, (layer, sources) in enumerate(zip(self.layers, self.reads, strict=True)):
            seen = torch.cat([outputs[source] for source in sources], dim=-1) if sources else x
            seen = locked_dropout(seen, self.size.hidden_dropout if i else 0.0, self.training)
            answered, last = layer(seen, None if state is None else state[i], lengths)
            outputs.append(answered)
            states.append(last)
        return torch.cat(outputs, dim=-1).index_select(-1, self.sinks), tuple(states)


def _layered(parents: Parents) -> tuple[list[list[int]], list[list[int]]]:
    """Return each layer's nodes, and the layers that it reads."""
    layers = layers_of(parents)
    nodes = [[n for n, at in enumerate(layers) if at == layer] for layer in range(1 + max(layers))]
    reads = [sorted({layers[p] for node in layer for p in parents[node]}) for layer in nodes]
    return nodes, reads


def _wirings(
    parents: Parents,
    nodes: Sequence[Sequence[int]],
    reads: Sequence[Sequence[int]],
    features: int,
    units: int,
) -> list[Tensor]:
    """Return which inputs each unit of a layer reads, booleans `[units, inputs]` per layer."""
    wirings = [torch.ones(len(nodes[0]) * units, features, dtype=torch.bool)]
    for layer, sources in zip(nodes[1:], reads[1:], strict=True):
        given = [node for source in sources for node in nodes[source]]
        edges = torch.tensor([[node in parents[reader] for node in given] for reader in layer])
        wirings.append(edges.repeat_interleave(units, 0).repeat_interleave(units, 1))
    return wirings


def taken(numbers: Tensor, places: WiredWeights) -> WiredWeights:
    """Gather the weights of a wired network from a flat tensor by their positions."""
    return WiredWeights(*(numbers.index_select(0, p.flatten()).view(p.shape) for p in places))


def _places(cell: CellSpec, edges: Sequence[Tensor]) -> WiredWeights:
    """Return the positions of a wired network's weights in the concatenated parameters of its
    layers."""
    parts, at = [], 0
    for wiring in edges:
        numbered = {}
        for name, shape in layout_of(cell).shapes(wiring.shape[1], len(wiring)).items():
            size = math.prod(shape)
            numbered[name] = torch.arange(at, at + size).view(shape)
            at += size
        on_x = numbered["on_x"][:, wiring].T
        on_h = numbered["on_h"].squeeze(1).permute(1, 2, 0).flatten(0, 1)
        parts.append((numbered["bias"].T, on_x, on_h, numbered["diagonal"].T))
    return WiredWeights(*(torch.cat(part) for part in zip(*parts, strict=True)))
