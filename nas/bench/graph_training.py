"""Draws random graphs and trains them as recurrent networks, several in one computation."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch

from nas.core.errors import BadInput
from nas.core.seeds import candidate_seed
from nas.core.task import Measured, Task
from nas.scores.size import count_parameters
from nas.training import TrainingSettings, adam
from search_spaces.architecture import Architecture
from search_spaces.genome import sample
from search_spaces.random_graph.space import RandomGraphSpace
from search_spaces.random_graph.together import GraphNetworks
from search_spaces.space import ModelShape, ModelSize

TOGETHER = 6  # more do not fit into the caches of common processors
SETTINGS = TrainingSettings(learning_rate=2e-3)


@dataclass(frozen=True, slots=True)
class TrainedGraph:
    """A graph, its properties, and the validation results of its trained network."""

    architecture: Architecture
    properties: dict[str, float]
    parameters: int
    loss: float
    metric: float


def trained_graphs(
    space: RandomGraphSpace, task: Task, count: int, steps: int, seed: int
) -> Iterator[TrainedGraph]:
    """Draw `count` distinct graphs, train them and yield those whose loss is finite.

    Raises `BadInput` if the networks cannot be trained together.
    """
    rng, drawn = np.random.default_rng(seed), {}
    while len(drawn) < count:
        architecture, _ = sample(space, rng)
        drawn.setdefault(architecture.digest(), architecture)
    shape = ModelShape(task.shape, ModelSize())
    graphs = list(drawn.values())
    for begin in range(0, count, TOGETHER):
        group = graphs[begin : begin + TOGETHER]
        networks = [
            space.build(graph, shape, torch.Generator().manual_seed(candidate_seed(seed, number)))
            for number, graph in enumerate(group, begin)
        ]
        try:
            together = GraphNetworks(networks)
        except ValueError as error:
            raise BadInput(str(error)) from None
        reached = train_together(together, task, steps, seed)
        for graph, network, measured in zip(group, networks, reached, strict=True):
            if math.isfinite(measured.loss):
                parameters = count_parameters(network)
                yield TrainedGraph(graph, space.properties(graph), parameters, *measured)


def train_together(
    networks: GraphNetworks, task: Task, steps: int, seed: int
) -> Sequence[Measured]:
    """Train all networks on the same batches; returns each one's validation results."""
    optimizer = adam(networks, SETTINGS)
    count = len(networks.bias)
    for batch in islice(task.training_batches(seed), steps):
        answers = networks(batch.inputs, batch.lengths)
        loss = task.loss(answers, batch.targets.expand(count, -1)) * count
        optimizer.zero_grad()
        loss.backward()
        networks.clip(SETTINGS.clip)
        optimizer.step()
    with torch.inference_mode():
        answered = [
            (networks(batch.inputs, batch.lengths), batch.targets)
            for batch in task.validation_batches()
        ]
    return [
        task.measure((answers[i], targets) for answers, targets in answered) for i in range(count)
    ]
