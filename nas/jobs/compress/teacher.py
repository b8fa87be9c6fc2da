"""The teacher of a compression: found or trained, checked, and asked once for its answers."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from nas.core.errors import BadInput
from nas.core.settings import Named
from nas.core.task import Measured, Task, answers_classes
from nas.jobs.compress.config import CompressConfig
from nas.jobs.compress.distilled import Answered, Asked, Known
from nas.models.source import ModelSource, find_model
from nas.models.trained import as_it_comes, measured, only_guesses
from nas.tasks.classification import EVALUATED, Classification
from nas.tasks.loader_task import LoaderTask
from nas.tasks.named_goals import Embedding
from nas.training import best_device
from search_spaces.inputs import answer_of
from search_spaces.space import ModelSize


def find_teacher(config: CompressConfig) -> tuple[ModelSource, Task]:
    """Return the network and its task; raises `BadInput` if either cannot be used."""
    named = config.task
    if not named.name and not named.options and config.weights is None:
        named = Named(name="digits")
    size = ModelSize(**config.size.model_dump())
    source, task = find_model(config.teacher, config.weights, named, size)
    if config.training.method == "kl" and not answers_classes(task):
        raise BadInput(
            f'training.method "kl" compares probabilities of classes, and {task.name} has none: '
            'use "mse"'
        )
    training = f"it is trained for {config.teacher_steps} steps"
    return as_it_comes(source, task, "teacher", training), task


def checked_quality(source: ModelSource, task: Task) -> Measured:
    """Return loss and metric on the validation data; raises `BadInput` if the network guesses."""
    found = measured(source.build(0), source.name, task)
    answers = task.shape.outputs
    if not only_guesses(task, found.metric):
        return found
    if task.metric == "accuracy":
        raise BadInput(
            f"{source.name} is right on {found.metric:.1%} of the validation data, which is "
            f"guessing among {answers} classes: train it longer with --set teacher_steps=NUMBER, "
            "or give --weights and the data they are for"
        )
    among = f" among {answers} tokens" if task.metric == "perplexity" else ""
    raise BadInput(
        f"{source.name} has a {task.metric} of {found.metric:.4g} on the validation data, "
        f"which is guessing{among}: train it longer, or give --weights"
    )


def answers_of(source: ModelSource, task: Task, cache: Path) -> Answered:
    """Return the teacher's answers to the training data.

    Those to a classification's examples are kept in a file of the cache. The targets of an
    embedding task are the answers already. For any other task the teacher is asked along the way.
    """
    if isinstance(task, Classification):
        return Known(task, _logits_of(source, task, cache))
    if isinstance(task, LoaderTask) and isinstance(task.goal, Embedding):
        return task
    return Asked(task, source)


def _logits_of(source: ModelSource, task: Classification, cache: Path) -> np.ndarray:
    """`[n, classes]`; asked for once."""
    assert source.weights is not None
    key = hashlib.sha256(source.weights)
    key.update(np.ascontiguousarray(task.train.inputs).tobytes())
    key.update(repr((source.name, task.mean, task.deviation)).encode())
    file = cache / f"logits-{key.hexdigest()[:16]}.npy"
    if not file.exists():
        cache.mkdir(parents=True, exist_ok=True)
        temporary = file.with_name(f".{file.name}.npy")
        np.save(temporary, _answers(source.build(0), task))
        temporary.replace(file)
    return np.load(file)


def _answers(model: nn.Module, task: Classification) -> np.ndarray:
    device = torch.device(best_device())
    model.to(device).eval()
    in_order = replace(task, valid=task.train).validation_batches()
    answers = []
    with torch.inference_mode():
        for batch in in_order:
            lengths = None if batch.lengths is None else batch.lengths.to(device)
            returned = model(batch.inputs.to(device), None, lengths).answers
            answers.append(answer_of(returned).float().cpu())
    assert len(answers) == -(-len(task.train) // EVALUATED)
    return torch.cat(answers).numpy()
