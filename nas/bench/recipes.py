"""Reads tables of recurrent cells and the losses they reached when trained."""

import itertools
import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nas.bench.ranks import FEWEST
from nas.core.errors import BadInput
from nas.core.json_text import json_lines
from search_spaces.architecture import Architecture
from search_spaces.decisions import InvalidArchitecture
from search_spaces.rnn_cell.recipe import read_recipe

EPOCHS = (1, 3, 10)  # epochs whose validation losses are compared with scores


@dataclass(frozen=True)
class Trained:
    """A recipe and the mean of its runs' last test losses.

    known: the table's other columns by name: early validation losses, published scores.
    curve, seconds: the validation loss after each epoch and the time per epoch, in the first run.
    """

    architecture: Architecture
    loss: float
    known: dict[str, float]
    curve: tuple[float, ...] = ()
    seconds: float | None = None


def read_table(path: Path) -> list[Trained]:
    """Return the distinct recipes of a table; runs of the same recipe are merged.

    Each line has `id`, `recipe` and `last_test`, and optionally `val_losses`, one per epoch,
    `wall_per_epoch` in seconds, and `ref_metrics`, published scores by name. The optional values
    come from a recipe's first run. A run whose last loss is null failed and is left out.
    Raises `BadInput` naming the line.
    """
    losses: dict[str, list[float]] = {}
    first: dict[str, Trained] = {}
    ids: dict[str, str] = {}
    for where, row in json_lines(path):
        _check_row(row, where)
        key = json.dumps(row["id"])
        if key in ids:
            raise BadInput(f"{where}: id {key} is already on {ids[key]}: give each line its own id")
        ids[key] = where.rpartition(", ")[2]
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
            f"{path} has {len(losses)} distinct recipes with a loss: add more, at least {FEWEST}"
        )
    return [replace(first[d], loss=float(np.mean(losses[d]))) for d in losses]


def _check_row(row: Any, where: str) -> None:
    if not isinstance(row, dict):
        raise BadInput(f'{where}: expected {{"id": …, "recipe": {{node: …}}, "last_test": …}}')
    missing = [key for key in ("id", "recipe", "last_test") if key not in row]
    if missing:
        raise BadInput(f'{where}: add the missing "{missing[0]}"')


def _trained(architecture: Architecture, row: dict[str, Any], where: str) -> Trained:
    """Return a line's run, without the last loss."""
    losses, seconds = row.get("val_losses") or [], row.get("wall_per_epoch")
    if not isinstance(losses, list):
        raise BadInput(f"{where}: val_losses must be a list of numbers, not {losses!r}")
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
        raise BadInput(f"{where}: ref_metrics must be {{name: number}}, not {metrics!r}")
    return {
        f"published {name}": _number(value, f"ref_metrics.{name}", where)
        for name, value in metrics.items()
        if value is not None
    }


def _number(value: Any, name: str, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise BadInput(f"{where}: {name} must be a number, not {value!r}")
    return float(value)
