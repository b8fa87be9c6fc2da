"""A recurrent network whose layers are a graph's, wired by its edges."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from kernels.cell.layer import CompiledRNN
from kernels.cell.spec import CellSpec
from kernels.cell.weights import Weights
from search_spaces.random_graph.graphs import Parents, layers_of
from search_spaces.rnn_cell.model import (
    Output,
    States,
    features_of,
    locked_dropout,
    token_embedding,
)
from search_spaces.space import ModelShape


class WiredRNN(CompiledRNN):
    """A recurrent layer that reads only what a mask lets it.

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
    """Embedding, a recurrent layer for each layer of the graph, a head that reads all its sinks.

    A layer reads the layers that hold parents of its nodes, however far back, masked by the edges;
    the first reads the whole input; all are densely recurrent. A node is `hidden / nodes` units,
    rounded, at least 1: graphs of any number of nodes are about equally wide.

    published: a node is one unit, and the embedding as wide as the graph has sources: as in Darji
        2024, section 4.3, https://arxiv.org/abs/2407.20601, where size and wiring cannot be told
        apart. There, moreover, every skipped layer is read through a recurrent layer of its own,
        and the masks of cells with gates do not follow the graph; ours do.
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
        self.embedding = None
        features = data.inputs * data.width if data.kind == "images" else data.inputs
        if data.kind == "tokens":
            self.embedding = token_embedding(data.inputs, size.embedding, generator)
            features = size.embedding
        self.layers = nn.ModuleList(
            WiredRNN(cell, wiring, size.weight_drop, generator)
            for wiring in _wirings(parents, nodes, self.reads, features, units)
        )
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
        """inputs as the task's `DataShape` says → logits `[B, T, outputs]` or `[B, outputs]`."""
        x = features_of(inputs, self.embedding, self.kind, self.size, self.training)
        outputs: list[Tensor] = []
        states = []
        for i, (layer, sources) in enumerate(zip(self.layers, self.reads, strict=True)):
            seen = torch.cat([outputs[source] for source in sources], dim=-1) if sources else x
            seen = locked_dropout(seen, self.size.hidden_dropout if i else 0.0, self.training)
            answered, last = layer(seen, None if state is None else state[i], lengths)
            outputs.append(answered)
            states.append(last)
        if not self.every_step:
            outputs = [last[0].unsqueeze(1) for last in states]
        known = torch.cat(outputs, dim=-1).index_select(-1, self.sinks)
        answers = self.head(locked_dropout(known, self.size.dropout, self.training))
        return Output(
            answers if self.every_step else answers.squeeze(1), tuple(states), x.new_zeros(())
        )


def _layered(parents: Parents) -> tuple[list[list[int]], list[list[int]]]:
    """Of each layer: its nodes, and the layers that it reads."""
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
    """Which unit of a layer reads which of what it is given, `[units, inputs]`."""
    wirings = [torch.ones(len(nodes[0]) * units, features, dtype=torch.bool)]
    for layer, sources in zip(nodes[1:], reads[1:], strict=True):
        given = [node for source in sources for node in nodes[source]]
        edges = torch.tensor([[node in parents[reader] for node in given] for reader in layer])
        wirings.append(edges.repeat_interleave(units, 0).repeat_interleave(units, 1))
    return wirings
