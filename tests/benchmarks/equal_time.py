"""Four ways to make ResNet-56 twice as fast, with the same fine-tuning: which keeps most accuracy.

TEACHER=FILE python -m tests.benchmarks.equal_time METHOD [--amount A] [--seed 0] [--to FILE.jsonl]

METHOD: ours (`nas compress`, layers removed), even (blocks removed evenly, the control of the
search), magnitude and group-norm (Torch-Pruning), fastnas (NVIDIA ModelOpt), teacher, or report,
which prints the table of FILE.jsonl. TEACHER is a file of `cifar_networks.py`. Methods see the
training images 0 to 18,999 and select on 19,000 to 19,999. All are judged on 20,000 to 29,999 and
on 1,000 test images. Every network takes at most half of the teacher's milliseconds at batch 16
on one thread, measured in turns with it.
"""

import argparse
import json
import math
import os
import statistics
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from compress.learning.distillation import distillation_loss
from compress.structure.student import student, without
from compress.timing import milliseconds
from nas.api import compress
from nas.core.settings import Named
from nas.models.cifar_resnet import CifarBlock, resnet56
from nas.tasks.loader_task import LoaderTask
from tests.benchmarks.cifar_networks import (
    BATCH,
    SIDE,
    accuracy,
    answered,
    augmented,
    images,
    small,
)
from tests.benchmarks.cifar_networks import training_images as all_images

TARGET = 0.5  # of the teacher's milliseconds
STEPS = 148  # of fine-tuning: one pass through the training images
RATE = 0.05
TRAINED = 19_000  # images; the last 1,000 of the teacher's select
SEARCH: dict[str, Any] = {
    "controller": Named(name="tpe"),
    "pool": 24,
    "updates": 2,
    "rollouts": 4,
    "narrowest": 1,
    "training": {"steps": 20, "rungs": 1},
    "execution": {"executor": "serial"},
}


def teacher() -> nn.Module:
    """Return ResNet-56, its two shortcuts without parameters written as 1×1 convolutions.

    The function is the same; Torch-Pruning cannot follow a choice of channels by index.
    """
    model = resnet56()
    model.load_state_dict(torch.load(os.environ["TEACHER"])["weights"])
    for stage in (model.layer2, model.layer3):
        placed = stage[0].shortcut
        width = len(placed.places)
        conv = nn.Conv2d(width // 2, width, 1, placed.stride, bias=False)
        nn.init.zeros_(conv.weight)
        for channel, place in enumerate(placed.places):
            if place >= 0:
                conv.weight.data[channel, place] = 1
        stage[0].shortcut = conv
    return model.eval()


def training_images() -> tuple[Tensor, Tensor]:
    pixels, classes = all_images()
    return pixels[:TRAINED], classes[:TRAINED]


def validation_images() -> tuple[Tensor, Tensor]:
    pixels, classes = all_images()
    return small(pixels[TRAINED:]), classes[TRAINED:]


def judging_images(name: str) -> tuple[Tensor, Tensor]:
    pixels, classes = images(name)
    return small(pixels), classes


def examples(n: int) -> Tensor:
    return small(images("test1k")[0][:n])


def task() -> LoaderTask:
    """Return what `nas compress` sees: batches to score students with, and the validation."""
    pixels, classes = training_images()
    parts = ((small(pixels), classes), validation_images(), judging_images("test1k"))
    batches = [list(zip(x.split(BATCH), y.split(BATCH), strict=True)) for x, y in parts]
    return LoaderTask("classification", *batches)


@cache
def views() -> tuple[Tensor, Tensor, Tensor]:
    """Return images flipped and moved, their classes, and the teacher's logits for them."""
    pixels, classes = training_images()
    generator = torch.Generator().manual_seed(0)
    seen = augmented(pixels, SIDE, generator)
    file = Path(os.environ["TEACHER"] + ".logits")
    if not file.exists():
        model = teacher().to(memory_format=torch.channels_last)
        with torch.inference_mode():
            torch.save(torch.cat([answered(model, part) for part in seen.split(250)]), file)
    return seen, classes, torch.load(file)


def fit(model: nn.Module, steps: int, seed: int = 0) -> None:
    """Fine-tune a network in place: the classes, and the teacher's softened answers."""
    seen, classes, logits = views()
    model.to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(
        model.parameters(), RATE, momentum=0.9, nesterov=True, weight_decay=5e-4
    )
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, steps, pct_start=0.2)
    for chosen in _orders(len(seen), steps, seed):
        answers = answered(model, seen[chosen])
        loss = functional.cross_entropy(answers, classes[chosen])
        loss = loss + distillation_loss(answers, logits[chosen], "kl", 4.0)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        rate.step()
    model.eval().to(memory_format=torch.contiguous_format)


def _orders(n: int, steps: int, seed: int) -> Iterator[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    order = torch.cat(
        [torch.randperm(n, generator=generator) for _ in range(-(-steps * BATCH // n))]
    )
    return iter(order[: steps * BATCH].view(steps, BATCH))


def share_of_time(model: nn.Module, batch: int = 16) -> float:
    """Return the milliseconds of a network as a share of the teacher's, in turns with it."""
    slow, fast = milliseconds((teacher(), model.eval()), examples(batch), repeats=31)
    return fast / slow


def ours(amount: float, seed: int) -> nn.Module:
    """Search with `nas compress`, and return the student it found, not trained yet."""
    with TemporaryDirectory() as folder:
        compress(
            teacher="tests.benchmarks.equal_time:teacher",
            task=Named(name="tests.benchmarks.equal_time:task"),
            fit="tests.benchmarks.equal_time:fit",
            cost="milliseconds",
            target_compression=100 / amount,
            seed=seed,
            run=Path(folder) / "run",
            cache=Path(folder),
            **SEARCH,
        )
        found = json.loads((Path(folder) / "run" / "student" / "architecture.json").read_text())
    return student(teacher(), examples(2), *found["spec"])


def even(amount: float, seed: int) -> nn.Module:
    """Remove that many blocks at equal distances, of those whose shortcut changes nothing."""
    model = teacher()
    free = [n for n, m in model.named_modules() if isinstance(m, CifarBlock) and n[-2:] != ".0"]
    removed = round(amount)
    return without(model, [free[int((i + 0.5) * len(free) / removed)] for i in range(removed)])


def magnitude(amount: float, seed: int) -> nn.Module:
    import torch_pruning as tp

    return _pruned(tp.importance.MagnitudeImportance(p=2, group_reduction="first"), amount)


def group_norm(amount: float, seed: int) -> nn.Module:
    import torch_pruning as tp

    return _pruned(tp.importance.GroupMagnitudeImportance(p=2), amount)


def _pruned(importance: Any, amount: float) -> nn.Module:
    """Remove that many per cent of the channels of each layer."""
    import torch_pruning as tp

    model = teacher()
    tp.pruner.MagnitudePruner(
        model,
        examples(2),
        importance=importance,
        pruning_ratio=amount / 100,
        ignored_layers=[model.linear],
    ).step()
    return model


def fastnas(amount: float, seed: int) -> nn.Module:
    """Leave that many per cent of the operations; widths are multiples of 8.

    FastNAS knows limits on operations and parameters, not on time. Its own multiples are of 32,
    which leaves ResNet-56 nothing to narrow but its last stage.
    """
    import modelopt.torch.prune as mtp

    eighths = tuple(i / 8 for i in range(1, 9))
    convolutions = {"channels_ratio": eighths, "kernel_size": (), "channel_divisor": 8}
    norms = {"features_ratio": eighths, "feature_divisor": 8}
    widths = {"nn.Conv2d": {"*": convolutions}, "nn.BatchNorm2d": {"*": norms}}
    pixels, classes = (part[:300] for part in validation_images())
    calibration = small(training_images()[0][: 8 * BATCH]).split(BATCH)
    return mtp.prune(
        teacher(),
        mode=[("fastnas", widths)],
        constraints={"flops": f"{amount}%"},
        dummy_input=pixels[:1],
        config={
            "data_loader": [(batch,) for batch in calibration],
            "collect_func": lambda batch: batch[0],
            "score_func": lambda model: accuracy(model, pixels, classes),
            "checkpoint": os.environ["TEACHER"] + f".fastnas{seed}",
        },
    )[0]


METHODS = {
    "ours": ours,
    "even": even,
    "magnitude": magnitude,
    "group-norm": group_norm,
    "fastnas": fastnas,
}


def fitting(method: str) -> float:
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


def result(method: str, amount: float, seed: int) -> dict[str, Any]:
    started = time.perf_counter()
    model = METHODS[method](amount, seed)
    searched = time.perf_counter()
    fit(model, STEPS, seed)
    found = {
        "method": method,
        "amount": amount,
        "seed": seed,
        "parameters": sum(p.numel() for p in model.parameters()),
        "blocks": sum(isinstance(m, CifarBlock) for m in model.modules()),
        "seconds": [searched - started, time.perf_counter() - searched],
    }
    return found | judged(model)


def judged(model: nn.Module) -> dict[str, float]:
    parts = {"validation": validation_images(), "judged": judging_images("train_2")}
    right = {name: accuracy(model, *part) for name, part in parts.items()}
    return {
        **right,
        "test": accuracy(model, *judging_images("test1k")),
        "time_batch_16": share_of_time(model),
        "time_batch_1": share_of_time(model, 1),
    }


def report(rows: list[dict[str, Any]]) -> None:
    """Print mean ± standard error over the seeds, and differences to ours, seed by seed."""
    print(
        "| method | n | parameters | blocks | time, batch 16, 1 | 10,000 | 1,000 test | ours - it |"
    )
    print("|---" * 8 + "|")
    by_method = {name: {r["seed"]: r for r in rows if r["method"] == name} for name in METHODS}
    for name, found in by_method.items():
        if not found:
            continue
        each = list(found.values())
        pairs = [
            by_method["ours"][s]["judged"] - r["judged"]
            for s, r in found.items()
            if s in by_method["ours"]
        ]
        cells = [name, str(len(each))]
        cells += [f"{statistics.mean(r[k] for r in each):.0f}" for k in ("parameters", "blocks")]
        cells.append(
            ", ".join(f"{statistics.mean(r[f'time_batch_{b}'] for r in each):.2f}" for b in (16, 1))
        )
        cells += [spread([100 * r[k] for r in each]) for k in ("judged", "test")]
        cells.append("–" if name == "ours" else spread([100 * d for d in pairs]))
        print(f"| {' | '.join(cells)} |")


def spread(values: list[float]) -> str:
    if len(values) < 2:
        return ", ".join(f"{v:.2f}" for v in values) or "–"
    error = statistics.stdev(values) / math.sqrt(len(values))
    return f"{statistics.mean(values):.2f} ± {error:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("method", choices=[*METHODS, "teacher", "report"])
    parser.add_argument("--amount", type=float, help="default: found by timing, and printed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--to", type=Path, default=Path("equal_time.jsonl"))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.method == "report":
        report([json.loads(line) for line in asked.to.read_text().splitlines()])
    elif asked.method == "teacher":
        print(judged(teacher()))
    else:
        is_ours = asked.method == "ours"
        amount = asked.amount or (100 * TARGET if is_ours else fitting(asked.method))
        row = result(asked.method, amount, asked.seed)
        print(row)
        with asked.to.open("a") as file:
            file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
