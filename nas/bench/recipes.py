"""Tables of recurrent cells with the losses that they reached when trained."""

import itertools
import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nas.bench.ranks import FEWEST
from nas.core.errors import BadInput
from search_spaces.architecture import Architecture
from search_spaces.decisions import InvalidArchitecture
from search_spaces.rnn_cell.recipe import read_recipe

EPOCHS = (1, 3, 10)  # after which the validation loss is compared with scores


@dataclass(frozen=True)
class Trained:
    """A recipe and the mean of its runs' last test losses.

    known: what else the table has, by name: validation losses on the way, published scores.
    curve: the validation loss after each epoch. seconds: of an epoch. Of the recipe's first run.
    """

    architecture: Architecture
    loss: float
    known: dict[str, float]
    curve: tuple[float, ...] = ()
    seconds: float | None = None


def read_table(path: Path) -> list[Trained]:
    """The distinct recipes of a table; runs of the same one are merged.

    Lines: `id`, `recipe`, `last_test`, and, where known, `val_losses`, one an epoch,
    `wall_per_epoch` in seconds, and `ref_metrics`, published scores by name; of a recipe's runs
    the first one's count. A last loss of null is of a run that failed and is left out.
    Raises `BadInput` naming the line.
    """
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} cannot be read: {error}") from None
    losses: dict[str, list[float]] = {}
    first: dict[str, Trained] = {}
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
        digest = architecture.digest()
        first.setdefault(digest, _trained(architecture, row, where))
        if row["last_test"] is not None:
            losses.setdefault(digest, []).append(_number(row["last_test"], "last_test", where))
    if len(losses) < FEWEST:
        raise BadInput(
            f"{path} has {len(losses)} distinct recipes with a loss, {FEWEST} are needed"
        )
    return [replace(first[d], loss=float(np.mean(losses[d]))) for d in losses]


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


def _trained(architecture: Architecture, row: dict[str, Any], where: str) -> Trained:
    """What a line says of its run, but for the last loss."""
    losses, seconds = row.get("val_losses") or [], row.get("wall_per_epoch")
    if not isinstance(losses, list):
        raise BadInput(f"{where}: val_losses is {losses!r}, must be a list of numbers")
    finished = itertools.takewhile(lambda loss: loss is not None, losses)
    curve = tuple(_number(loss, "val_losses", where) for loss in finished)
    epochs = {f"loss after epoch {n}": curve[n - 1] for n in EPOCHS if n <= len(curve)}
    return Trained(
        architecture,
        math.nan,
        {**epochs, **_published(row, where)},
        curve,
        None if seconds is None else _number(seconds, "wall_per_epoch", where),
    )


def _published(row: dict[str, Any], where: str) -> dict[str, float]:
    metrics = row.get("ref_metrics") or {}
    if not isinstance(metrics, dict):
        raise BadInput(f"{where}: ref_metrics is {metrics!r}, must be numbers by name")
    return {
        f"published {name}": _number(value, f"ref_metrics.{name}", where)
        for name, value in metrics.items()
        if value is not None
    }


def _number(value: Any, name: str, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise BadInput(f"{where}: {name} is {value!r}, must be a number")
    return float(value)
