"""Many small random-graph networks trained compiled, against step by step in PyTorch.

python tests/benchmarks/graph_training.py [GRAPHS] [STEPS]

Random graphs of 10 to 50 nodes on the Reber grammar, batches of 64, one thread; each network takes
its steps compiled and step by step in turns. Prints seconds of all graphs together, and the ratio.
"""

import sys
import time
from itertools import islice

import numpy as np
import torch
from torch import nn

from kernels.cell.layer import set_backend
from nas.tasks.reber import load_reber
from search_spaces.genome import sample
from search_spaces.random_graph.space import RandomGraphSpace
from search_spaces.space import ModelShape, ModelSize


def seconds(model: nn.Module, task, backend: str, steps: int) -> float:
    """Of training steps, after one that compiles."""
    set_backend(model, backend)
    optimizer = torch.optim.Adam(model.parameters())
    started = 0.0
    for number, batch in enumerate(islice(task.training_batches(0), steps + 1)):
        if number == 1:
            started = time.perf_counter()
        answers = model(batch.inputs, None, batch.lengths).answers
        optimizer.zero_grad()
        task.loss(answers, batch.targets).backward()
        optimizer.step()
    return time.perf_counter() - started


def main(graphs: int = 100, steps: int = 3) -> None:
    torch.set_num_threads(1)
    task = load_reber(strings=2000)
    shape = ModelShape(task.shape, ModelSize(embedding=32, hidden=48))
    for cell in ("rnn-tanh", "gru", "lstm"):
        space, rng = RandomGraphSpace(cells=(cell,)), np.random.default_rng(0)
        taken = {"auto": 0.0, "reference": 0.0}
        for _ in range(graphs):
            architecture, _ = sample(space, rng)
            for backend in taken:
                model = space.build(architecture, shape, torch.Generator().manual_seed(0))
                taken[backend] += seconds(model, task, backend, steps)
        fast, slow = taken["auto"], taken["reference"]
        print(f"{cell}: {graphs} graphs, {steps} steps each: {fast:.1f} s compiled, {slow:.1f} s")
        print(f"  step by step, {slow / fast:.1f} times as long")


if __name__ == "__main__":
    main(*(int(given) for given in sys.argv[1:]))
