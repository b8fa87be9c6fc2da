"""Time constants against N: does a network with leaky units become slower, and in which part?

python -m tests.benchmarks.timescales [SEEDS]

Trains a layer of 32 compiled leaky units, whose time constants τ are trained, on N-parity without
marks and on delayed match, with both curricula: one N at a time, or all N so far at once. N grows
when validation on the newest N reaches 98 %, and stops growing when that takes more than 1,500
steps. Prints, for each N, the steps it took, the mean τ of the units and the mean τ_net that
`nas.scores.time_constants` finds in their states on random bits, mean ± standard error over seeds,
and on stderr each seed.

Khajehabdollahi et al. 2024, https://arxiv.org/abs/2309.12927, abstract: with one N, τ grows with N;
with all N, τ stays and τ_net grows.
"""

import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from statistics import mean, stdev
from typing import get_args

import numpy as np
import torch
from torch import nn

from kernels.cell.layer import CompiledRNN
from kernels.cell.zoo import ZOO
from nas.core.task import Batch
from nas.scores.recurrent import layer_outputs
from nas.scores.time_constants import time_constants
from nas.tasks.delayed_match import load_delayed_match
from nas.tasks.growing_memory import Curriculum, GrowingMemory
from nas.tasks.n_parity import load_n_parity
from nas.training import TrainingSettings, adam, clipped_step, evaluate
from search_spaces.rnn_cell.recipe import read_recipe
from search_spaces.rnn_cell.space import RnnCellSpace
from search_spaces.space import ModelShape, ModelSize

LARGEST, UNITS, BATCH = 7, 32, 32
PATIENCE, BETWEEN, SOLVED = 1500, 100, 0.98
SETTINGS = TrainingSettings(learning_rate=5e-3, clip=1.0, device="cpu")

Row = tuple[int, float, float]  # steps, τ, τ_net


def main(seeds: int) -> None:
    torch.set_num_threads(1)
    rows: dict[tuple[str, str, int], list[Row]] = defaultdict(list)
    for seed in range(seeds):
        for task in tasks():
            for n, row in learn(task, seed):
                rows[task.name, task.curriculum, n].append(row)
                print(seed, task.name, task.curriculum, n, row, file=sys.stderr, flush=True)
    print("| task | curriculum | N | steps | τ of units | τ_net | seeds |")
    print("|---|---|---|---|---|---|---|")
    for (name, curriculum, n), found in rows.items():
        cells = [with_error(column) for column in zip(*found, strict=True)]
        print("|", " | ".join([name, curriculum, str(n), *cells, str(len(found))]), "|")


def tasks() -> Iterator[GrowingMemory]:
    for curriculum in get_args(Curriculum):
        options = {"largest": LARGEST, "curriculum": curriculum, "batch": BATCH}
        yield load_n_parity(marks=False, **options)
        yield load_delayed_match(**options)


def learn(task: GrowingMemory, seed: int) -> Iterator[tuple[int, Row]]:
    """Yield each N that is learnt, with the steps it took and the time constants afterwards."""
    torch.manual_seed(seed)
    shape = ModelShape(task.shape, ModelSize(embedding=8, hidden=UNITS, layers=1))
    generator = torch.Generator().manual_seed(seed)
    model = RnnCellSpace().build(read_recipe(ZOO["leaky"]), shape, generator)
    optimizer = adam(model, SETTINGS)
    for n in range(2, LARGEST + 1):
        now = replace(task, largest=n, steps_per_n=1)
        newest = replace(now, curriculum="one")
        batches = islice(now.training_batches(seed), n, None)  # the first ones have a smaller N
        for steps in range(BETWEEN, PATIENCE + 1, BETWEEN):
            model.train()
            for number, batch in enumerate(islice(batches, BETWEEN)):
                optimizer.zero_grad()
                output = model(batch.inputs, None, batch.lengths)
                task.loss(output.answers, batch.targets).backward()
                clipped_step(model, optimizer, SETTINGS.clip, number)
            if evaluate(model, newest, newest.validation_batches()).metric >= SOLVED:
                yield n, (steps, *constants(model))
                break
        else:
            return


def constants(model: nn.Module) -> tuple[float, float]:
    """Return the means of the units' own τ and of τ_net on random bits."""
    layer = next(m for m in model.modules() if isinstance(m, CompiledRNN))
    own = 1 / torch.sigmoid(layer.weights().diagonal.detach())
    bits = torch.from_numpy(np.random.default_rng(0).integers(2, size=(20, 1000)))
    with torch.no_grad():
        (states,) = layer_outputs(model.eval(), Batch(bits, torch.zeros(20)))
    return float(own.mean()), float(np.mean(time_constants(states[:, 100:])))


def with_error(values: tuple[float, ...]) -> str:
    if len(values) < 2:
        return f"{values[0]:.3g}"
    return f"{mean(values):.3g} ± {stdev(values) / len(values) ** 0.5:.2g}"


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
