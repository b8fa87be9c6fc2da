"""Students within limits: milliseconds asked and measured, and what a second target takes.

NAS_DATA=FOLDER python -m tests.benchmarks.latency_targets RUNS [NAME …]

Compresses three networks within four limits each: 0.6 of the teacher's milliseconds (batch 1, one
thread), and 0.8 of its parameters, megabytes and operations. Then gives each run two new targets
with `resolve`: 0.45 of the milliseconds, and 0.3 of the other three. Runs that exist in RUNS are
not repeated, so that a second call only times the students, on a machine without other work. The
figures are not those of the runs: each student is loaded from its files and timed again.
"""

import os
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nas import api
from nas.core.settings import read_config
from nas.jobs.compress.config import CompressConfig
from nas.jobs.compress.costs import Meter
from nas.jobs.compress.student_files import load_student
from nas.jobs.compress.summary import CompressSummary, read_compression
from nas.jobs.compress.teacher import find_teacher

DATA = Path(os.environ.get("NAS_DATA", Path(__file__).parents[3] / "shared" / "data"))
SOUNDS = {"name": "sequences", "data": str(DATA / "seq" / "fsdd_logmel.npz")}
CASES: dict[str, dict[str, Any]] = {
    "resnet20": {
        "teacher": "resnet20",
        "weights": DATA / "weights" / "resnet20-12fca82f.th",
        "task": {
            "name": "images",
            "data": str(DATA / "vision" / "cifar10"),
            "batch": 32,
            "validation": 0.02,
        },
    },
    "lstm": {"teacher": "lstm-classifier", "task": SOUNDS},
    "encoder": {"teacher": "tests.benchmarks.latency_targets:Encoder", "task": SOUNDS},
}
SHARED = {
    "updates": 12,
    "rollouts": 6,
    "survivors": 6,
    "controller": "tpe",
    "teacher_steps": 400,
    "training": {"steps": 240, "learning_rate": 2e-3},
    "execution": {"executor": "serial"},
}
FIRST = {"max_ms": 0.6, "max_parameters": 0.8, "max_mb": 0.8, "max_macs": 0.8}  # of the teacher
SECOND = {"max_ms": 0.45}
THIRD = {"max_parameters": 0.3, "max_mb": 0.3, "max_macs": 0.3}


class Encoder(nn.Module):
    """A transformer for classification of sequences `[B, T, channels]`, as users write them."""

    def __init__(self, classes: int = 10, channels: int = 32) -> None:
        super().__init__()
        self.embed = nn.Linear(channels, 96)
        layer = nn.TransformerEncoderLayer(96, 6, 384, dropout=0.0, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, 6, enable_nested_tensor=False)
        self.head = nn.Linear(96, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layers(self.embed(x)).mean(1))


def main() -> None:
    runs, names = Path(sys.argv[1]), sys.argv[2:] or list(CASES)
    print(
        "| network | run | asked | measured | of the limit | other costs, of their limits "
        "| accuracy | seconds |"
    )
    print("|---" * 8 + "|")
    for name in names:
        for row in _rows(runs / name, {**SHARED, **CASES[name], "cache": runs / "cache"}):
            print(f"| {name} | " + " | ".join(row) + " |", flush=True)


def _rows(folder: Path, settings: Mapping[str, Any]) -> list[list[str]]:
    config = read_config(CompressConfig, None, (), settings)
    source, task = find_teacher(config)
    batch, teacher = task.score_batch(0), source.build(0).eval()
    meter = Meter.of(teacher, batch)
    first = _run(folder / "first", partial(_limits, meter, FIRST), settings)
    measured = first.measured
    assert measured is not None
    rows = [["teacher", "", f"{meter.teacher['milliseconds']:.3f} ms", *[""] * 2]]
    rows[0] += [f"{measured.teacher.tested:.4f}", ""]
    rows.append(_row("first", first, meter, first.seconds))
    for name, shares in (("second", SECOND), ("third", THIRD)):
        resolve = {"resolve": folder / "first"}
        found = _run(folder / name, partial(_limits, meter, shares), resolve)
        rows.append(_row(name, found, meter, first.seconds))
    return rows


def _limits(meter: Meter, shares: Mapping[str, float]) -> dict[str, float]:
    """Return absolute limits, rounded as users give them."""
    costs = meter.teacher
    whole = {
        "max_ms": costs["milliseconds"],
        "max_parameters": costs["parameters"],
        "max_mb": costs["bytes"] / 1e6,
        "max_macs": costs["flops"] / 2,
    }
    return {name: float(f"{share * whole[name]:.2g}") for name, share in shares.items()}


def _run(folder: Path, limits: Any, settings: Mapping[str, Any]) -> CompressSummary:
    if not (folder / "measured.json").exists():
        api.compress(read_config(CompressConfig, None, (), {**settings, **limits(), "run": folder}))
    return read_compression(folder)


def _row(name: str, found: CompressSummary, meter: Meter, first: float) -> list[str]:
    measured = found.measured
    assert measured is not None
    most = dict(measured.limits.most)
    limit = most.pop("milliseconds", None)
    student = load_student(found.student_folder)
    taken = _milliseconds(meter, student) if limit else 0.0
    shares = (f"{measured.limits.costs[key] / value:.2f}" for key, value in most.items())
    took = f"{found.seconds:.0f}" + ("" if name == "first" else f" ({found.seconds / first:.1%})")
    return [
        name,
        f"{limit:.3g} ms" if limit else "–",
        f"{taken:.3f} ms" if limit else "–",
        f"{taken / limit:.3f}" if limit else "–",
        ", ".join(shares) or "–",
        f"{measured.student.tested:.4f}",
        took,
    ]


def _milliseconds(meter: Meter, student: nn.Module) -> float:
    """Return the fastest of twenty medians of 31 forward passes, at batch 1 with one thread."""
    return min(meter.times([student], 31)[0] for _ in range(20))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
