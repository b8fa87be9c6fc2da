"""Keeps the weights that a network comes with, or trains new ones once per run."""

import sys
from dataclasses import replace
from pathlib import Path

from torch import nn

from nas.core.errors import BadInput
from nas.core.files import reason_of, write_atomically
from nas.core.task import Measured, Task, guess
from nas.models.source import ModelSource, weights_of
from nas.training import TrainingSettings, evaluate, train_rung

CHANCE = 1.5  # times as good as guessing, the least that a trained network must be;
LEAST = 0.1  # or better by this share of what guessing gets wrong, if that is less


def measured(model: nn.Module, name: str, task: Task) -> Measured:
    """Return loss and metric on the validation data; raises `BadInput` if the task does not fit."""
    try:
        return evaluate(model, task, task.validation_batches())
    except BadInput:
        raise
    except Exception as error:  # of anybody's code
        raise BadInput(f"{name} cannot answer the task {task.name}: {reason_of(error)}") from error


def only_guesses(task: Task, metric: float) -> bool:
    """Return whether a metric is no better than chance; False if the task does not define it."""
    guessed = guess(task)
    if guessed is None:
        return False
    if task.higher_is_better:
        return metric <= 0 or metric < min(CHANCE * guessed, guessed + LEAST * (1 - guessed))
    return metric > guessed / CHANCE


def as_it_comes(source: ModelSource, task: Task, role: str, otherwise: str) -> ModelSource:
    """Return the source; with the weights that its own function gave it, unless it only guesses.

    role, otherwise: "teacher" and "it is trained for 400 steps" for instance. They are part of the
        note that says what was found, which is also printed to stderr.
    """
    if source.weights is not None or not source.is_own:
        return source
    model = source.build(0)
    metric = measured(model, source.name, task).metric
    found = f"{role} {source.name}: {task.metric} {metric:.4g} on the validation data, "
    if only_guesses(task, metric):
        remedy = "if it should come trained, load its weights in the function or pass --weights"
        note = f"{found}no better than guessing: {otherwise}; {remedy}"
        kept = replace(source, note=note)
    else:
        note = f"{found}weights kept as they are"
        kept = replace(source, note=note, weights=weights_of(model.cpu()))
    print(kept.note, file=sys.stderr)
    return kept


def with_trained_weights(
    source: ModelSource, task: Task, steps: int, settings: TrainingSettings, file: Path
) -> ModelSource:
    """Return the source with its own weights, the file's, or new ones, saved to the file."""
    if source.weights is not None:
        return source
    if not file.exists():
        model = source.build(0)
        train_rung(model, task, settings, 0, steps)
        write_atomically(file, weights_of(model))
    return replace(source, weights=file.read_bytes())
