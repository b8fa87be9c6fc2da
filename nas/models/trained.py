"""Trains a network without weights, once per run."""

from dataclasses import replace
from pathlib import Path

from nas.core.files import write_atomically
from nas.core.task import Task
from nas.models.source import ModelSource, weights_of
from nas.training import TrainingSettings, train_rung


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
