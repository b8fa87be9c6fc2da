"""Do searched cells beat LSTM and GRU at equal parameters, equal steps and equal tuning?

python -m tests.benchmarks.against_lstm train TASK[=DATA] RESULTS CELL… [--steps 800]
python -m tests.benchmarks.against_lstm table RESULTS

CELL: a known cell or a recipe file, such as those of a search. LSTM and GRU are always added. Every
cell gets the hidden size at which its model has about the parameters of the LSTM's; learning rate
and dropout are tuned for each, on the validation part, in as many runs of half the steps; then five
seeds are trained and tested. Started again, `train` goes on.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import torch
from scipy import stats

from nas.core.registry import load_task
from nas.core.task import Measured, Task
from nas.models.architecture_files import read_architecture
from nas.training import Diverged, TrainingSettings, evaluate, restore, train_rung
from search_spaces.architecture import Architecture
from search_spaces.rnn_cell.space import RnnCellSpace
from search_spaces.space import ModelShape, ModelSize

RIVALS = ("lstm", "gru")
HIDDEN = 96  # of the LSTM; one layer, because two need hundreds of steps to begin to learn
RATES, DROPOUTS = (2e-3, 4e-3, 8e-3), (0.0, 0.1)
SEEDS, TUNING_SEED = range(5), 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    training = verbs.add_parser("train")
    training.add_argument("task")
    training.add_argument("results", type=Path)
    training.add_argument("cells", nargs="+")
    training.add_argument("--steps", type=int, default=800)
    verbs.add_parser("table").add_argument("results", type=Path)
    chosen = parser.parse_args()
    if chosen.verb == "table":
        print(table([json.loads(line) for line in chosen.results.read_text().splitlines()]))
        return
    torch.set_num_threads(1)
    name, _, data = chosen.task.partition("=")
    task = load_task(name, {"data": Path(data)} if data else {})
    for cell in dict.fromkeys((*RIVALS, *chosen.cells)):
        compare(task, cell, chosen.steps, chosen.results)


def compare(task: Task, cell: str, steps: int, results: Path) -> None:
    """Tune a cell, then train it with every seed; appends a line for each run."""
    architecture = read_architecture(cell)
    size = equal_size(architecture, task)
    settings = []
    for rate, dropout in product(RATES, DROPOUTS):
        half = {"cell": cell, "task": task.name, "steps": steps // 2, "seed": TUNING_SEED}
        half |= {"rate": rate, "dropout": dropout}
        row = known(
            results,
            half,
            lambda r=rate, d=dropout: run(
                task, architecture, replace(size, dropout=d), r, TUNING_SEED, steps // 2
            ),
        )
        settings.append((row["valid"] if row["valid"] is not None else np.inf, rate, dropout))
    _, rate, dropout = min(settings)
    for seed in SEEDS:
        whole = {"cell": cell, "task": task.name, "steps": steps, "seed": seed}
        whole |= {"rate": rate, "dropout": dropout}
        known(
            results,
            whole,
            lambda s=seed: run(task, architecture, replace(size, dropout=dropout), rate, s, steps),
        )


def known(results: Path, wanted: dict, measure: Callable[[], dict]) -> dict:
    """Return the recorded line of a run, or measure and record it."""
    lines = results.read_text().splitlines() if results.exists() else []
    for row in map(json.loads, lines):
        if wanted.items() <= row.items():
            return row
    row = wanted | measure()
    with results.open("a") as file:
        file.write(json.dumps(row) + "\n")
    return row


def equal_size(architecture: Architecture, task: Task) -> ModelSize:
    """Return the size at which the model's parameters come closest to the LSTM's."""
    wanted = parameters(read_architecture("lstm"), task, ModelSize(HIDDEN, HIDDEN, layers=1))
    sizes = [ModelSize(hidden, hidden, layers=1) for hidden in range(16, 4 * HIDDEN)]
    low, high = 0, len(sizes) - 1
    while low < high:
        middle = (low + high) // 2
        if parameters(architecture, task, sizes[middle]) < wanted:
            low = middle + 1
        else:
            high = middle
    return min(
        sizes[max(0, low - 1) : low + 1],
        key=lambda size: abs(parameters(architecture, task, size) - wanted),
    )


def parameters(architecture: Architecture, task: Task, size: ModelSize) -> int:
    return sum(p.numel() for p in build(architecture, task, size, 0).parameters())


def build(architecture: Architecture, task: Task, size: ModelSize, seed: int) -> torch.nn.Module:
    generator = torch.Generator().manual_seed(seed)
    return RnnCellSpace().build(architecture, ModelShape(task.shape, size), generator)


def run(
    task: Task, architecture: Architecture, size: ModelSize, rate: float, seed: int, steps: int
) -> dict[str, float | int | None]:
    """Train and test a model; losses are None if it diverged."""
    model = build(architecture, task, size, seed)
    about = {"hidden": size.hidden, "parameters": sum(p.numel() for p in model.parameters())}
    settings = TrainingSettings(learning_rate=rate, device="cpu")
    try:
        trained = train_rung(model, task, settings, seed, steps)
    except Diverged:
        return {**about, "valid": None, "test": None, "metric": None}
    restore(trained.checkpoint, model)
    tested: Measured = evaluate(model, task, task.test_batches())
    return {
        **about,
        "valid": trained.validation.loss,
        "test": tested.loss,
        "metric": tested.metric,
        "seconds": round(trained.seconds, 1),
    }


def table(rows: list[dict]) -> str:
    """Return each cell's test loss, and its paired difference from the better rival."""
    longest = {
        row["task"]: max(r["steps"] for r in rows if r["task"] == row["task"]) for row in rows
    }
    tests: dict[str, dict[str, list[dict]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if row["steps"] == longest[row["task"]]:
            tests[row["task"]][row["cell"]].append(row)
    lines = [
        "| task | cell | hidden | parameters | rate | dropout | test loss | test metric "
        "| paired difference from the better rival, 95 % |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for task, cells in tests.items():
        finished = {name: by_seed(runs) for name, runs in cells.items() if len(runs) == len(SEEDS)}
        if not finished.keys() >= set(RIVALS):
            continue  # still training
        rival = min(RIVALS, key=lambda name: np.mean(finished[name]))
        for name, losses in finished.items():
            first = cells[name][0]
            difference = "–" if name == rival else interval(losses - finished[rival])
            metric = np.mean([run["metric"] for run in cells[name] if run["metric"] is not None])
            lines.append(
                f"| {task} | {Path(name).stem} | {first['hidden']} | {first['parameters']} "
                f"| {first['rate']:g} | {first['dropout']:g} | {interval(losses)} | {metric:.3f} "
                f"| {difference} |"
            )
    return "\n".join(lines)


def by_seed(runs: list[dict]) -> np.ndarray:
    ordered = sorted(runs, key=lambda run: run["seed"])
    return np.array([np.nan if run["test"] is None else run["test"] for run in ordered])


def interval(values: np.ndarray) -> str:
    """Return the mean and its 95 % interval by Student's t, or how many runs diverged."""
    if lost := int(np.isnan(values).sum()):
        return f"{lost} of {len(values)} diverged"
    half = stats.sem(values) * stats.t.ppf(0.975, len(values) - 1)
    return f"{np.mean(values):.4f} ± {half:.4f}"


if __name__ == "__main__":
    main()
