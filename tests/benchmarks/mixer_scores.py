"""Do training-free scores know which sequence mixers will learn a task?

python -m tests.benchmarks.mixer_scores train TASK TABLE [--mixers 64] [--steps 600] [SETTING …]
python -m tests.benchmarks.mixer_scores rank TASK TABLE [SETTING …]

`train` draws mixers of one block of 32 channels, trains them on the task, and appends a line a
mixer to the table; started again, it goes on. `rank` prints how the scores of the untrained mixers
rank them by the error at the trained length, beside rules that cost nothing: parameters, bytes of
state, and what the algebra of a step can do (Grazzi et al. 2025, Siems et al. 2025): nonlinear
cells before steps with negative eigenvalues, among those more writes and erasure first.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from nas import api
from nas.bench import ranks
from nas.core.errors import NasError
from nas.core.executor import CandidateFailed, attempt
from nas.core.registry import available, create_score, load_task
from nas.core.settings import read_config
from nas.core.task import Task
from nas.jobs.search.config import SearchConfig
from search_spaces import genome
from search_spaces.architecture import Architecture
from search_spaces.sequence_mixer.space import SequenceMixerSpace
from search_spaces.sequence_mixer.spec import CellMixing, Mixing, RecurrenceMixing, network_of
from search_spaces.space import ModelShape, ModelSize

WIDTH, SEED = 32, 17
SIZE = ModelSize(embedding=WIDTH, hidden=WIDTH, layers=1)
SPACE = SequenceMixerSpace(widths=(WIDTH,), stripe=1, repeats=1, state=2**14)
TRAINING = ("training.learning_rate=0.004", "training.clip=1.0", "training.device=cpu")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("verb", choices=("train", "rank"))
    parser.add_argument("task")
    parser.add_argument("table", type=Path)
    parser.add_argument("settings", nargs="*")
    parser.add_argument("--mixers", type=int, default=64)
    parser.add_argument("--steps", type=int, default=600)
    asked = parser.parse_intermixed_args()
    torch.set_num_threads(1)
    (train if asked.verb == "train" else rank)(asked)


def drawn(mixers: int) -> Iterator[Architecture]:
    """Yield distinct random mixers, always the same."""
    rng, seen = np.random.default_rng(SEED), set()
    while len(seen) < mixers:
        architecture, _ = genome.sample(SPACE, rng)
        if architecture.digest() not in seen:
            seen.add(architecture.digest())
            yield architecture


def train(asked: argparse.Namespace) -> None:
    """Append the mixers that the table lacks, each trained with its own seed."""
    done = set(read(asked.table)) if asked.table.exists() else set()
    for number, architecture in enumerate(drawn(asked.mixers)):
        if architecture.digest() in done:
            continue
        settings = [*TRAINING, f"training.steps={asked.steps}", *asked.settings]
        names = {"task.name": asked.task, "space.name": "sequence-mixer", "seed": number}
        try:
            facts = api.train(architecture, read_config(SearchConfig, None, settings, names))
            row = {name: facts[name] for name in facts if name.startswith("test_")}
        except NasError as error:
            row = {"failed": str(error)[:200]}
        with asked.table.open("a") as file:
            file.write(json.dumps({"digest": architecture.digest(), **row}) + "\n")


def read(table: Path) -> dict[str, dict[str, float]]:
    return {row["digest"]: row for row in map(json.loads, table.read_text().splitlines())}


def rank(asked: argparse.Namespace) -> None:
    """Print how each rule and score ranks the trained mixers by their errors."""
    names = {"task.name": asked.task, "space.name": "sequence-mixer"}
    config = read_config(SearchConfig, None, asked.settings, names)
    task = load_task(asked.task, dict(config.task.options))
    table = read(asked.table)
    trained = [each for each in drawn(asked.mixers) if "test_1x" in table.get(each.digest(), {})]
    errors = np.array([1 - table[each.digest()]["test_1x"] for each in trained])
    columns: dict[str, list[float]] = {}
    for place, architecture in enumerate(trained):
        for name, value in values_of(architecture, task):
            columns.setdefault(name, [np.nan] * len(trained))[place] = value
    rng, rows = np.random.default_rng(0), []
    for name, values in columns.items():
        known = np.isfinite(values)
        found = np.array(values)[known]
        rows.append(ranks.rank_row(name, found, errors[known], None, int((~known).sum()), rng))
    print(
        f"{len(trained)} mixers, accuracies from {1 - errors.max():.2f} to {1 - errors.min():.2f}"
    )
    print("negative: high values go with few errors")
    print(ranks.table(rows))


def values_of(architecture: Architecture, task: Task) -> Iterator[tuple[str, float]]:
    """Yield the rules, then the scores of the untrained mixer by name."""
    network = network_of(architecture)
    generator = torch.Generator().manual_seed(0)
    model = SPACE.build(architecture, ModelShape(task.shape, SIZE), generator).eval()
    yield "algebra", algebra(network.stripe[0])
    yield "state bytes", network.state_bytes(WIDTH, 1)
    yield "parameters", sum(parameter.numel() for parameter in model.parameters())
    batch = task.score_batch(0)
    for name in available("scores"):
        score = create_score(name)
        again = torch.Generator().manual_seed(0)
        found = attempt("score", lambda s=score, g=again: s(model, batch, g))
        if not isinstance(found, CandidateFailed):
            yield from found.items()


def algebra(mixing: Mixing) -> float:
    """What a step can do: 100 for nonlinear cells, else by eigenvalues, writes and erasure."""
    if isinstance(mixing, CellMixing):
        return 100
    if not isinstance(mixing, RecurrenceMixing):
        return 0
    mixer = mixing.mixer
    erases = mixer.recurrence.erase != "none"
    return -10 * mixer.low + erases * mixer.recurrence.writes


if __name__ == "__main__":
    main()
