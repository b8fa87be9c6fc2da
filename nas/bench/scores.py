"""Training-free scores against the losses that recipes of a table reached when trained."""

import math
import time
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from nas.bench.ranks import Row, rank_row
from nas.bench.recipes import Trained
from nas.execution.executor import CandidateFailed, attempt
from nas.scores.forest import Forest
from nas.scores.predicted_loss import PredictedLoss, fit
from nas.scores.score import Score, ScoreFailed
from nas.tasks.task import Task
from search_spaces.architecture import Architecture
from search_spaces.rnn_cell.space import RnnCellSpace
from search_spaces.space import ModelShape, ModelSize

BASELINES = ("parameters", "flops")
PUBLISHED, PROXY = ModelSize(400, 600, 3), ModelSize(64, 96, 3)
FOLDS = 5


class Features:
    """What a predicted loss is predicted from, computed like a score."""

    name = PredictedLoss.name
    higher_is_better = False
    __call__ = staticmethod(PredictedLoss.features)


def measure(
    scores: Sequence[Score], recipes: Sequence[Trained], task: Task, size: ModelSize, seed: int = 0
) -> list[Row]:
    """A row for each value of each score; every recipe gets the same seed.

    A predicted loss is predicted in five folds, of recipes that its forest has not seen.
    """
    scores = [Features() if isinstance(score, PredictedLoss) else score for score in scores]
    found: dict[str, list[tuple[dict[str, float], float]]] = {s.name: [] for s in scores}
    seconds = dict.fromkeys(found, 0.0)
    for recipe in recipes:
        for name, values, taken in values_of(scores, recipe.architecture, task, size, seed):
            seconds[name] += taken / len(recipes)
            if not isinstance(values, CandidateFailed):
                found[name].append((values, recipe.loss))
    rng = np.random.default_rng(seed)
    rows = []
    for score in scores:
        losses = np.array([loss for _, loss in found[score.name]])
        for name, values in _columns(score, found[score.name], rng).items():
            failed = len(recipes) - len(losses)
            rows.append(rank_row(name, values, losses, seconds[score.name], failed, rng))
    return rows


def known_rows(recipes: Sequence[Trained], seed: int = 0) -> list[Row]:
    """A row for everything that the table itself has of its recipes."""
    rng = np.random.default_rng(seed)
    rows = []
    for name in dict.fromkeys(name for recipe in recipes for name in recipe.known):
        pairs = [(recipe.known[name], recipe.loss) for recipe in recipes if name in recipe.known]
        values, losses = np.array(pairs).T
        rows.append(rank_row(name, values, losses, None, len(recipes) - len(pairs), rng))
    return rows


def fitted(
    recipes: Sequence[Trained], task: Task, size: ModelSize, seed: int = 0
) -> tuple[Forest, int]:
    """The forest of a predicted loss, and how many recipes it was fitted to."""
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


def _columns(
    score: Score, found: Sequence[tuple[dict[str, float], float]], rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """The values of each candidate, a column for each value of the score."""
    if not found:
        return {score.name: np.zeros(0)}
    if isinstance(score, Features):
        return {score.name: cross_validated(found, rng)}
    return {name: np.array([values[name] for values, _ in found]) for name in found[0][0]}


def cross_validated(
    found: Sequence[tuple[dict[str, float], float]], rng: np.random.Generator
) -> np.ndarray:
    """The loss predicted of every candidate by a forest that was fitted without its fold."""
    predicted = np.zeros(len(found))
    for fold in np.array_split(rng.permutation(len(found)), min(FOLDS, len(found))):
        others = np.setdiff1d(np.arange(len(found)), fold)
        forest = fit([found[i][0] for i in others], [found[i][1] for i in others])
        predicted[fold] = [math.exp(forest.predict(found[i][0])) for i in fold]
    return predicted
