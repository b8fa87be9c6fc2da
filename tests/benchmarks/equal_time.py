"""Five ways to make ResNet-56 twice as fast, with the same fine-tuning: which keeps most accuracy.

NAS_DATA=FOLDER TEACHER=FILE python -m tests.benchmarks.equal_time amounts [METHOD …]
NAS_DATA=FOLDER TEACHER=FILE python -m tests.benchmarks.equal_time run METHOD=AMOUNT … [--to FOLDER]
NAS_DATA=FOLDER TEACHER=FILE python -m tests.benchmarks.equal_time report [--to FOLDER]

METHOD: ours (`nas compress`, blocks removed), even (blocks removed evenly: what the search adds to
this is its worth), magnitude and group-norm (Torch-Pruning), fastnas (NVIDIA ModelOpt). TEACHER is
a file of `cifar_networks.py` or a public one. Methods see the training images 0 to 8,999, select on
9,000 to 9,999, and are judged on 1,000 test images. With `--judge test1k train_2` they are judged
on the training images 20,000 to 29,999, too, which a public teacher has seen.
amounts: how much each method must take away to need at most half of the teacher's milliseconds at
batch 16 on one thread. run: make, fine-tune and judge the networks, and keep them in FOLDER.
report: time all that were kept in turns with their teacher, and print the table.
"""

import argparse
import itertools
import json
import math
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn

from compress.timing import milliseconds
from nas.models.cifar_resnet import CifarBlock
from tests.benchmarks.cifar_networks import accuracy, images
from tests.benchmarks.equal_time_methods import METHODS
from tests.benchmarks.equal_time_setup import (
    STEPS,
    examples,
    fit,
    share_of_time,
    teacher,
)

TARGET = 0.5  # of the teacher's milliseconds
HEAD = "| method | n | parameters | blocks | time, batch 16 | batch 1 | right on {0} | ours - it |"


def amount_for(method: str) -> float:
    """Return the amount of a method with the slowest network that takes at most half the time."""
    order = {"even": range(20, 5, -1), "fastnas": range(20, 81, 3)}
    amounts = list(order.get(method, range(80, 19, -2)))  # from the fastest network
    low, high = 0, len(amounts)
    while high - low > 1:
        middle = (low + high) // 2
        share = share_of_time(METHODS[method](amounts[middle], 0))
        print(method, amounts[middle], f"{share:.3f}", flush=True)
        low, high = (middle, high) if share <= TARGET else (low, middle)
    return amounts[low]


def run(
    method: str, amount: float, seed: int, steps: int, parts: list[str], folder: Path
) -> dict[str, Any]:
    started = time.perf_counter()
    model = METHODS[method](amount, seed)
    made = time.perf_counter()
    fit(model, steps, seed)
    name = f"{method}-{seed}"
    torch.save(model, folder / f"{name}.pt")
    row = {
        "method": method,
        "amount": amount,
        "seed": seed,
        "steps": steps,
        "parameters": sum(p.numel() for p in model.parameters()),
        "blocks": sum(isinstance(module, CifarBlock) for module in model.modules()),
        "seconds": [round(made - started), round(time.perf_counter() - made)],
        **judged(model, parts),
    }
    (folder / f"{name}.json").write_text(json.dumps(row))
    return row


def judged(model: nn.Module, parts: list[str]) -> dict[str, float]:
    """Return the share of right answers on some files of images, in per cent."""
    return {part: 100 * accuracy(model, *images(part)) for part in parts}


def report(parts: list[str], folder: Path) -> None:
    """Print mean ± standard error over the seeds, and ours minus each, paired by seed."""
    rows = [json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))]
    names = [f"{row['method']}-{row['seed']}" for row in rows]
    models = [torch.load(folder / f"{name}.pt", weights_only=False).eval() for name in names]
    for batch in (16, 1):
        slow, *fast = milliseconds((teacher(), *models), examples(batch), repeats=15)
        print(f"teacher: {slow:.2f} ms at batch {batch}")
        for row, taken in zip(rows, fast, strict=True):
            row[f"time {batch}"] = taken / slow
    print(f"teacher: {judged(teacher(), parts)}\n\n{HEAD.format(', '.join(parts))}\n{'|---' * 8}|")
    own = {row["seed"]: row[parts[0]] for row in rows if row["method"] == "ours"}
    for method in METHODS:
        if each := [row for row in rows if row["method"] == method]:
            ahead = [own[row["seed"]] - row[parts[0]] for row in each if row["seed"] in own]
            sizes = [f"{statistics.mean(r[k] for r in each):.0f}" for k in ("parameters", "blocks")]
            times = [f"{statistics.mean(r[f'time {b}'] for r in each):.2f}" for b in (16, 1)]
            right = ", ".join(spread([row[part] for row in each]) for part in parts)
            cells = [method, str(len(each)), *sizes, *times, right, spread(ahead)]
            print(f"| {' | '.join(cells)} |")


def spread(values: list[float]) -> str:
    if len(values) < 2:
        return ", ".join(f"{value:.2f}" for value in values) or "–"
    error = statistics.stdev(values) / math.sqrt(len(values))
    return f"{statistics.mean(values):.2f} ± {error:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["amounts", "run", "report"])
    parser.add_argument("methods", nargs="*")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=STEPS, help="of fine-tuning")
    parser.add_argument("--to", type=Path, default=Path("equal_time"))
    parser.add_argument("--judge", nargs="+", default=["test1k"])
    asked = parser.parse_args()
    asked.to.mkdir(exist_ok=True)
    torch.set_num_threads(1)
    if asked.what == "report":
        report(asked.judge, asked.to)
    for given in asked.methods:
        if asked.what == "amounts":
            print(f"{given}={amount_for(given)}", flush=True)
    for seed, given in itertools.product(asked.seeds, asked.methods):
        method, _, amount = given.partition("=")
        if asked.what == "run":
            print(run(method, float(amount), seed, asked.steps, asked.judge, asked.to), flush=True)


if __name__ == "__main__":
    main()
