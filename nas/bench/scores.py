"""Training-free scores against the losses that recipes of a table reached when trained."""

import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nas.bench.ranks import FEWEST, Row, rank_row
from nas.errors import BadInput
from nas.execution.executor import CandidateFailed, attempt
from nas.scores.score import Score, ScoreFailed
from nas.tasks.task import Task
from search_spaces.architecture import Architecture
from search_spaces.decisions import InvalidArchitecture
from search_spaces.rnn_cell.space import RnnCellSpace, read_recipe
from search_spaces.space import ModelShape, ModelSize

BASELINES = ("parameters", "flops")
PUBLISHED, PROXY = ModelSize(400, 600, 3), ModelSize(64, 96, 3)


@dataclass(frozen=True)
class Trained:
    """A recipe and the mean of its runs' last test losses.

    published: what others computed of it, by name.
    """

    architecture: Architecture
    loss: float
    published: dict[str, float]


def read_table(path: Path) -> list[Trained]:
    """The distinct recipes of a table; runs of the same one are merged.

    Lines: `id`, `recipe`, `last_test`, and, where known, `same_recipe_as` and `ref_metrics`. A
    loss of null is of a run that failed and is left out.
    Raises `BadInput` naming the line.
    """
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} cannot be read: {error}") from None
    losses: dict[str, list[float]] = {}
    first: dict[str, tuple[Architecture, dict[str, float]]] = {}
    ids: dict[Any, int] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        row = _row_of(line, where)
        key = json.dumps(row["id"])
        if key in ids:
            raise BadInput(f"{where}: id {key} is already on line {ids[key]}")
        ids[key] = number
        try:
            architecture = read_recipe(row["recipe"])
        except (InvalidArchitecture, AttributeError, TypeError) as error:
            raise BadInput(f"{where}: {error}") from None
        metrics = _numbers(row.get("ref_metrics") or {}, where)
        digest = architecture.digest()
        first.setdefault(digest, (architecture, metrics))
        if row["last_test"] is not None:
            losses.setdefault(digest, []).append(_number(row["last_test"], "last_test", where))
    if len(losses) < FEWEST:
        raise BadInput(
            f"{path} has {len(losses)} distinct recipes with a loss, {FEWEST} are needed"
        )
    return [Trained(first[d][0], float(np.mean(losses[d])), first[d][1]) for d in losses]


def _row_of(line: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise BadInput(f"{where}: no JSON: {error}") from None
    if not isinstance(row, dict):
        raise BadInput(f'{where}: expected {{"id": …, "recipe": {{node: …}}, "last_test": …}}')
    missing = [key for key in ("id", "recipe", "last_test") if key not in row]
    if missing:
        raise BadInput(f'{where}: "{missing[0]}" is missing')
    return row


def _numbers(metrics: Any, where: str) -> dict[str, float]:
    if not isinstance(metrics, dict):
        raise BadInput(f"{where}: ref_metrics is {metrics!r}, must be numbers by name")
    return {k: _number(v, f"ref_metrics.{k}", where) for k, v in metrics.items() if v is not None}


def _number(value: Any, name: str, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise BadInput(f"{where}: {name} is {value!r}, must be a number")
    return float(value)


def measure(
    scores: Sequence[Score], recipes: Sequence[Trained], task: Task, size: ModelSize, seed: int = 0
) -> list[Row]:
    """A row for each value of each score; every recipe gets the same seed."""
    values: dict[str, dict[str, list[tuple[float, float]]]] = {s.name: {} for s in scores}
    failed = dict.fromkeys(values, 0)
    seconds = dict.fromkeys(values, 0.0)
    for recipe in recipes:
        for name, found, taken in values_of(scores, recipe.architecture, task, size, seed):
            seconds[name] += taken / len(recipes)
            if isinstance(found, CandidateFailed):
                failed[name] += 1
                continue
            for value, number in found.items():
                values[name].setdefault(value, []).append((number, recipe.loss))
    rng = np.random.default_rng(seed)
    rows = []
    for name, by_value in values.items():
        for value, pairs in (by_value or {name: []}).items():
            numbers, losses = np.array(pairs, float).reshape(-1, 2).T
            rows.append(rank_row(value, numbers, losses, seconds[name], failed[name], rng))
    return rows


def values_of(
    scores: Sequence[Score], architecture: Architecture, task: Task, size: ModelSize, seed: int
) -> Iterator[tuple[str, dict[str, float] | CandidateFailed, float]]:
    """Each score by name: its values, or why there are none, and its processor seconds."""
    batch = task.score_batch(seed)
    generator = torch.Generator().manual_seed(seed)
    model = RnnCellSpace().build(architecture, ModelShape(task.shape, size), generator).eval()
    with torch.no_grad():  # what is compiled once and then kept is no part of a score's time
        model(batch.inputs[:1, :2], None, None)
    for score in scores:
        again = torch.Generator().manual_seed(seed)
        started = time.process_time()
        found = attempt("score", lambda s=score, g=again: _finite(s(model, batch, g)))
        yield score.name, found, time.process_time() - started


def _finite(values: dict[str, float]) -> dict[str, float]:
    for name, value in values.items():
        if not math.isfinite(value):
            raise ScoreFailed(f"{name} is {value}")
    return values
