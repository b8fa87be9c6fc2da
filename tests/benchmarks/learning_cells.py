"""Do training-free scores rank cells whose recurrent weights learn?

python -m tests.benchmarks.learning_cells train TEXT TABLE [--cells 220] [--steps 600] [--frozen]
python -m tests.benchmarks.learning_cells rank TEXT TABLE

NAS-Bench-NLP trained with frozen recurrent weights. `train` draws cells of the same grammar, trains
them on a text's bytes with all weights learning (or --frozen, as there), and appends a line a cell
to the table; started again, it goes on. `rank` prints how each score, the counts, and the losses
early in training rank the cells by their last test loss. Cells that diverged have the loss null.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from kernels.cell.zoo import ZOO
from nas.bench import ranks, scores
from nas.bench.recipes import read_table
from nas.core.registry import available, create_score, load_task
from nas.core.task import Task
from nas.training import Diverged, TrainingSettings, evaluate, restore, train_rung
from search_spaces import genome
from search_spaces.architecture import Architecture
from search_spaces.rnn_cell.recipe import cell_of, read_recipe
from search_spaces.rnn_cell.space import RnnCellSpace
from search_spaces.space import ModelShape, ModelSize

EARLY = (100, 300)  # steps whose validation losses are baselines
SIZE = ModelSize(
    embedding=64, hidden=96, layers=1
)  # two layers need over 300 steps to begin to learn
TRAINING = TrainingSettings(learning_rate=2e-3, device="cpu")
KNOWN = ("lstm", "gru", "rnn-tanh")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("verb", choices=("train", "rank"))
    parser.add_argument("text", type=Path)
    parser.add_argument("table", type=Path)
    parser.add_argument("--cells", type=int, default=220)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--frozen", action="store_true")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    task = load_task("language-model", {"data": chosen.text})
    if chosen.verb == "train":
        train(task, chosen.table, chosen.cells, chosen.steps, chosen.frozen)
    else:
        rank(task, chosen.table)


def train(task: Task, table: Path, cells: int, steps: int, frozen: bool) -> None:
    """Append the cells that the table lacks, each trained with its own seed."""
    size = replace(SIZE, frozen_recurrent=frozen)
    done = (
        {json.loads(line)["id"] for line in table.read_text().splitlines()}
        if table.exists()
        else set()
    )
    for number, (name, architecture) in enumerate(drawn(cells)):
        if name in done:
            continue
        row = {
            "id": name,
            "recipe": cell_of(architecture).to_recipe(),
            **losses(task, architecture, size, steps, seed=number),
        }
        with table.open("a") as file:
            file.write(json.dumps(row) + "\n")


def drawn(cells: int) -> Iterator[tuple[str, Architecture]]:
    """Yield well-known cells, then distinct random ones, always the same."""
    seen: set[str] = set()
    for name in KNOWN:
        architecture = read_recipe(ZOO[name])
        seen.add(architecture.digest())
        yield name, architecture
    rng = np.random.default_rng(17)
    while len(seen) < cells:
        architecture, _ = genome.sample(RnnCellSpace(), rng)
        if architecture.digest() not in seen:
            seen.add(architecture.digest())
            yield architecture.digest(), architecture


def losses(
    task: Task, architecture: Architecture, size: ModelSize, steps: int, seed: int
) -> dict[str, object]:
    """Return the validation losses on the way and the last test loss; None if it diverged."""
    model = RnnCellSpace().build(
        architecture, ModelShape(task.shape, size), torch.Generator().manual_seed(seed)
    )
    checkpoint, early, seconds = None, {}, 0.0
    try:
        for until in (*EARLY, steps):
            trained = train_rung(model, task, TRAINING, seed, until, checkpoint)
            checkpoint = trained.checkpoint
            early[f"loss after {until} steps"] = trained.validation.loss
            seconds += trained.seconds
        restore(checkpoint, model)
        last = evaluate(model, task, task.test_batches()).loss
    except Diverged:
        last = None
    return {"last_test": last, "seconds": round(seconds, 1), "ref_metrics": early}


def rank(task: Task, table: Path) -> None:
    """Print every score's rank correlation with the last test loss."""
    recipes = read_table(table)
    names = dict.fromkeys([*scores.BASELINES, *available("scores")])
    columns = scores.measure([create_score(n) for n in names], recipes, task, SIZE)
    rows = scores.rows_of(columns + scores.known_columns(recipes), recipes)
    print(f"{len(recipes)} cells that did not diverge; negative: high scores go with low losses")
    print(ranks.table(rows))


if __name__ == "__main__":
    main()
