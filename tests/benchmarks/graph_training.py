"""Times training many small random-graph networks together against one after another.

python tests/benchmarks/graph_training.py [GRAPHS] [STEPS]

Random graphs of 10 to 50 nodes on the Reber grammar, one unit per node, batches of 64, one thread;
Adam and clipping as in training. Prints the seconds for all graphs together, and how many times as
long it takes to train them one after another: as `torch.nn.RNN`, `GRU` or `LSTM` with masked
weights, as ours step by step in PyTorch, and as ours compiled.
"""

import sys
import time
from dataclasses import replace
from itertools import islice

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from kernels.cell.layer import set_backend
from nas.bench.graph_training import SETTINGS, TOGETHER, train_together
from nas.tasks.classification import Classification
from nas.tasks.reber import load_reber
from nas.training import clipped_step
from search_spaces.genome import sample
from search_spaces.random_graph.model import GraphNetwork
from search_spaces.random_graph.space import RandomGraphSpace
from search_spaces.random_graph.together import GraphNetworks
from search_spaces.space import ModelShape, ModelSize

THEIRS = {
    "rnn-tanh": lambda i, o: nn.RNN(i, o, batch_first=True),
    "rnn-relu": lambda i, o: nn.RNN(i, o, nonlinearity="relu", batch_first=True),
    "gru": lambda i, o: nn.GRU(i, o, batch_first=True),
    "lstm": lambda i, o: nn.LSTM(i, o, batch_first=True),
}


class TorchNetwork(nn.Module):
    """The same network made of PyTorch's layers, with input weights masked gate by gate."""

    def __init__(self, network: GraphNetwork, cell: str) -> None:
        super().__init__()
        self.embedding, self.reads = network.embedding, network.reads
        self.head, self.sinks = network.head, network.sinks
        self.layers = nn.ModuleList()
        for layer in network.layers:
            wiring: Tensor = layer.wiring
            theirs = THEIRS[cell](wiring.shape[1], wiring.shape[0])
            gates = len(theirs.weight_ih_l0) // len(wiring)
            prune.custom_from_mask(theirs, "weight_ih_l0", wiring.repeat(gates, 1))
            self.layers.append(theirs)

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        x, outputs = self.embedding(tokens), []
        for layer, sources in zip(self.layers, self.reads, strict=True):
            seen = torch.cat([outputs[s] for s in sources], dim=-1) if sources else x
            outputs.append(layer(seen)[0])
        last = torch.cat(outputs, dim=-1)[torch.arange(len(tokens)), lengths - 1]
        return self.head(last[:, self.sinks])


def seconds_alone(networks: list[nn.Module], task: Classification, steps: int) -> float:
    """Return the time to train one network after another."""
    started = time.perf_counter()
    for network in networks:
        theirs = isinstance(network, TorchNetwork)
        optimizer = torch.optim.Adam(network.parameters(), SETTINGS.learning_rate, fused=True)
        for batch in islice(task.training_batches(0), steps):
            answers = (
                network(batch.inputs, batch.lengths)
                if theirs
                else network(batch.inputs, None, batch.lengths).answers
            )
            optimizer.zero_grad()
            task.loss(answers, batch.targets).backward()
            clipped_step(network, optimizer, SETTINGS.clip, 0)
    return time.perf_counter() - started


def seconds_together(networks: list[GraphNetwork], task: Classification, steps: int) -> float:
    groups = [
        GraphNetworks(networks[begin : begin + TOGETHER])
        for begin in range(0, len(networks), TOGETHER)
    ]
    started = time.perf_counter()
    for group in groups:
        train_together(group, task, steps, 0)
    return time.perf_counter() - started


def main(graphs: int = 100, steps: int = 5) -> None:
    torch.set_num_threads(1)
    task = load_reber(strings=2000)
    task = replace(task, valid=task.valid.take(slice(1)))  # validation is not measured
    shape = ModelShape(task.shape, ModelSize())
    for cell in THEIRS:
        space = RandomGraphSpace(cells=(cell,), published=True)
        rng = np.random.default_rng(0)
        drawn = [sample(space, rng)[0] for _ in range(graphs)]

        def build(backend: str) -> list[GraphNetwork]:
            generator = torch.Generator().manual_seed(0)
            networks = [space.build(graph, shape, generator) for graph in drawn]  # noqa: B023
            for network in networks:
                set_backend(network, backend)
            return networks

        seconds_together(build("auto")[:1], task, 1)  # compiles
        taken = {
            "together": seconds_together(build("auto"), task, steps),
            "compiled": seconds_alone(build("auto"), task, steps),
            "torch.nn": seconds_alone([TorchNetwork(n, cell) for n in build("auto")], task, steps),
            "step by step": seconds_alone(build("reference"), task, steps),
        }
        together, *others = taken.values()
        times = ", ".join(f"{kind} {seconds:.1f} s" for kind, seconds in taken.items())
        ratios = ", ".join(f"{seconds / together:.1f}" for seconds in others)
        print(f"{cell}, {graphs} graphs, {steps} steps each: {times}: {ratios} times as long")


if __name__ == "__main__":
    main(*(int(given) for given in sys.argv[1:]))
