"""Trains the known sequence mixers on a task, and prints their accuracy beyond trained lengths.

python tests/benchmarks/mixer_zoo.py --task n-parity
python tests/benchmarks/mixer_zoo.py --task state-tracking --option group=S3 --layers 1 2 --seeds 3

A row is a mixer of a width and a number of layers: its parameters, the bytes that a step carries,
the CPU seconds of a seed's training, and the median accuracy over the seeds at 1, 2, 4 and 8 times
the longest trained length, with the worst seed in brackets. GRU and LSTM stand beside the mixers in
the same network, and a guess is what the task's most frequent answer gets.
"""

import argparse
import time
from collections.abc import Iterable
from statistics import median

import torch

from kernels.cell.zoo import ZOO as CELLS
from nas.core.registry import load_task
from nas.core.task import Batch, Task, test_sets
from nas.scores.size import count_parameters
from nas.training import TrainingSettings, evaluate, train_rung
from search_spaces.rnn_cell.recipe import read_recipe
from search_spaces.sequence_mixer.model import SequenceMixer
from search_spaces.sequence_mixer.spec import CellMixing, NetworkSpec
from search_spaces.sequence_mixer.zoo import STRIPES
from search_spaces.space import ModelShape, ModelSize

SETTINGS = TrainingSettings(learning_rate=4e-3, weight_decay=0.0, clip=1.0, device="cpu")
NETWORKS = {
    **STRIPES,
    **{name: (CellMixing(read_recipe(CELLS[name]).spec),) for name in ("gru", "lstm")},
}


def main() -> None:
    asked = _arguments()
    torch.set_num_threads(1)
    options = dict(pair.split("=", 1) for pair in asked.option)
    task = load_task(asked.task, {n: int(v) if v.isdecimal() else v for n, v in options.items()})
    names = list(test_sets(task))
    print("| mixer | layers | parameters | state bytes | CPU s | " + " | ".join(names) + " |")
    print("|---" * (5 + len(names)) + "|")
    shares = [f"{_guess(batches):.3f}" for batches in test_sets(task).values()]
    print("| a guess | | | | | " + " | ".join(shares) + " |", flush=True)
    for layers in asked.layers:
        for name in asked.mixers:
            print(_row(name, layers, task, asked), flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", default="n-parity")
    parser.add_argument("--option", action="append", default=[], help="of the task: group=S3")
    parser.add_argument("--mixers", nargs="+", default=list(NETWORKS), choices=NETWORKS)
    parser.add_argument("--layers", nargs="+", type=int, default=[1])
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--seeds", type=int, default=1)
    return parser.parse_args()


def _row(name: str, layers: int, task: Task, asked: argparse.Namespace) -> str:
    network, seconds, found = NetworkSpec(NETWORKS[name]), [], []
    shape = ModelShape(task.shape, ModelSize(hidden=asked.width, layers=layers))
    parameters = 0
    for seed in range(asked.seeds):
        model = SequenceMixer(network, shape, torch.Generator().manual_seed(seed))
        parameters, started = count_parameters(model), time.process_time()
        train_rung(model, task, SETTINGS, seed, asked.steps)
        seconds.append(time.process_time() - started)
        sets = test_sets(task).values()
        found.append([evaluate(model, task, iter(batches)).metric for batches in sets])
    accuracies = [f"{median(each):.3f} ({min(each):.3f})" for each in zip(*found, strict=True)]
    facts = (name, layers, parameters, network.state_bytes(asked.width, layers))
    return f"| {' | '.join(map(str, facts))} | {median(seconds):.0f} | {' | '.join(accuracies)} |"


def _guess(batches: Iterable[Batch]) -> float:
    """Return the share of the most frequent answer."""
    targets = torch.cat([batch.targets.flatten() for batch in batches])
    counts = targets[targets >= 0].bincount()
    return float(counts.max() / counts.sum())


if __name__ == "__main__":
    main()
