"""Compares training-free scores with the losses that a table's recipes reached."""

import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from nas.bench.page import explorer_of
from nas.bench.ranks import Row, rank_row
from nas.bench.recipes import Trained
from nas.core.executor import CandidateFailed, attempt
from nas.core.score import Score, ScoreFailed
from nas.core.task import Task
from nas.reporting import explorer
from nas.scores.forest import Forest
from nas.scores.predicted_loss import PredictedLoss, fit
from search_spaces.architecture import Architecture
from search_spaces.rnn_cell.recipe import cell_of
from search_spaces.rnn_cell.space import RnnCellSpace
from search_spaces.space import ModelShape, ModelSize

BASELINES = ("parameters", "flops")
PUBLISHED, PROXY = ModelSize(400, 600, 3), ModelSize(64, 96, 3)
FOLDS = 5


class Features:
    """The features that a predicted loss uses, computed like a score."""

    name = PredictedLoss.name
    higher_is_better = False
    __call__ = staticmethod(PredictedLoss.features)


@dataclass(frozen=True)
class Column:
    """One value of a score for all recipes.

    values: one per recipe, NaN if it has none.
    seconds: processor time per recipe; None for a score that was not computed here.
    """

    name: str
    values: np.ndarray
    higher_is_better: bool = True
    seconds: float | None = None


def measure(
    scores: Sequence[Score], recipes: Sequence[Trained], task: Task, size: ModelSize, seed: int = 0
) -> list[Column]:
    """Return a column for each value of each score; every recipe uses the same seed.

    Predicted losses come from five-fold cross-validation.
    """
    scores = [Features() if isinstance(score, PredictedLoss) else score for score in scores]
    found: dict[str, list[dict[str, float]]] = {score.name: [] for score in scores}
    seconds = dict.fromkeys(found, 0.0)
    for recipe in recipes:
        for name, values, taken in values_of(scores, recipe.architecture, task, size, seed):
            seconds[name] += taken / len(recipes)
            found[name].append({} if isinstance(values, CandidateFailed) else values)
    columns = []
    for score in scores:
        rows = found[score.name]
        if isinstance(score, Features):
            rows = cross_validated(rows, [recipe.loss for recipe in recipes], seed)
        for name in next(filter(None, rows), {score.name: 0.0}):
            values = np.array([row.get(name, np.nan) for row in rows])
            columns.append(Column(name, values, score.higher_is_better, seconds[score.name]))
    return columns


def known_columns(recipes: Sequence[Trained]) -> list[Column]:
    """Return a column for each value that the table itself has."""
    names = dict.fromkeys(name for recipe in recipes for name in recipe.known)
    return [
        Column(name, np.array([recipe.known.get(name, np.nan) for recipe in recipes]))
        for name in names
    ]


def rows_of(columns: Sequence[Column], recipes: Sequence[Trained], seed: int = 0) -> list[Row]:
    """Return how each column ranks the recipes that have a value in it."""
    rng = np.random.default_rng(seed)
    losses = np.array([recipe.loss for recipe in recipes])
    rows = []
    for column in columns:
        known = np.isfinite(column.values)
        failed = int((~known).sum())
        values = column.values[known]
        rows.append(rank_row(column.name, values, losses[known], column.seconds, failed, rng))
    return rows


def write_table(columns: Sequence[Column], recipes: Sequence[Trained], path: Path) -> None:
    """Write recipes, losses and scores for `nas bench search`.

    A score is negated if lower is better, because `nas bench search` prefers higher ones.
    """
    lines = []
    for i, recipe in enumerate(recipes):
        scores = {c.name: c.values[i] * (1 if c.higher_is_better else -1) for c in columns}
        row = {
            "recipe": cell_of(recipe.architecture).to_recipe(),
            "loss": recipe.loss,
            "scores": {name: value for name, value in scores.items() if np.isfinite(value)},
        }
        lines.append(json.dumps(row) + "\n")
    path.write_text("".join(lines))


def explored(columns: Sequence[Column], recipes: Sequence[Trained]) -> explorer.Explorer:
    """Return the recipes with their losses and scores for a page."""
    shown = [explorer.Column("test loss", "result", "nats", -1)]
    shown += [
        explorer.Column(c.name, "score", "", 1 if c.higher_is_better else -1) for c in columns
    ]
    cells = [
        {"test loss": recipe.loss, **{c.name: float(c.values[i]) for c in columns}}
        for i, recipe in enumerate(recipes)
    ]
    labels = [recipe.architecture.digest()[:8] for recipe in recipes]
    axes = columns[0].name, "test loss"
    return explorer_of("Recipes", "recipe", shown, labels, cells, axes)


def fitted(
    recipes: Sequence[Trained], task: Task, size: ModelSize, seed: int = 0
) -> tuple[Forest, int]:
    """Fit the forest of a predicted loss; returns it and the number of recipes used."""
    rows, losses = [], []
    for recipe in recipes:
        ((_, features, _),) = values_of([Features()], recipe.architecture, task, size, seed)
        if not isinstance(features, CandidateFailed):
            rows.append(features)
            losses.append(recipe.loss)
    return fit(rows, losses), len(rows)


def values_of(
    scores: Sequence[Score], architecture: Architecture, task: Task, size: ModelSize, seed: int
) -> Iterator[tuple[str, dict[str, float] | CandidateFailed, float]]:
    """Yield each score's name, its values or failure, and its processor seconds."""
    batch = task.score_batch(seed)
    generator = torch.Generator().manual_seed(seed)
    model = RnnCellSpace().build(architecture, ModelShape(task.shape, size), generator).eval()
    with torch.no_grad():  # compile first, so that a score's time does not include it
        model(batch.inputs[:1, :2], None, None)
    for score in scores:
        again = torch.Generator().manual_seed(seed)
        started = time.process_time()
        found = attempt("score", lambda s=score, g=again: _finite(s(model, batch, g)))
        yield score.name, found, time.process_time() - started


def _finite(values: dict[str, float]) -> dict[str, float]:
    for name, value in values.items():
        if not math.isfinite(value):
            raise ScoreFailed(f"{name} is not finite: {value}")
    return values


def cross_validated(
    rows: Sequence[dict[str, float]], losses: Sequence[float], seed: int
) -> list[dict[str, float]]:
    """Predict every row's loss with a forest fitted to the other folds.

    The prediction is empty for a row without features.
    """
    known = [i for i, row in enumerate(rows) if row]
    order = np.random.default_rng(seed).permutation(known)
    predicted: list[dict[str, float]] = [{} for _ in rows]
    for fold in np.array_split(order, min(FOLDS, len(known))):
        others = [i for i in known if i not in fold]
        forest = fit([rows[i] for i in others], [losses[i] for i in others])
        for i in fold:
            predicted[i] = {PredictedLoss.name: math.exp(forest.predict(rows[i]))}
    return predicted
