"""The teacher of a compression: found or trained, checked, and asked once for its answers."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from nas.core.errors import BadInput
from nas.core.settings import Named
from nas.core.task import Measured, Task
from nas.jobs.compress.config import CompressConfig
from nas.jobs.compress.distilled import Answered, Asked, Known
from nas.models.source import ModelSource, find_model
from nas.tasks.classification import EVALUATED, Classification
from nas.tasks.text import LanguageModelling
from nas.training import best_device, evaluate
from search_spaces.space import ModelSize

CHANCE = 1.5  # times as good as guessing, the least that a teacher must be


def find_teacher(config: CompressConfig) -> tuple[ModelSource, Classification | LanguageModelling]:
    """The network and its task; raises `BadInput` where either cannot be used."""
    named = config.task
    if not named.name and not named.options and config.weights is None:
        named = Named(name="digits")
    size = ModelSize(**config.size.model_dump())
    source, task = find_model(config.teacher, config.weights, named, size)
    if not isinstance(task, Classification | LanguageModelling):
        raise BadInput(
            f"{task.name} is neither a classification nor language modelling: students learn the "
            "logits of their teacher"
        )
    return source, task


def checked_quality(source: ModelSource, task: Task) -> Measured:
    """Loss and metric on the validation data; raises `BadInput` for one that only guesses."""
    model = source.build(0)
    try:
        measured = evaluate(model, task, task.validation_batches())
    except RuntimeError as error:
        shape = task.shape
        raise BadInput(
            f"{source.name} cannot take {shape.inputs} × {shape.height} × {shape.width} "
            f"{shape.kind}: {str(error).splitlines()[0]}"
        ) from None
    answers = task.shape.outputs
    if task.higher_is_better and measured.metric < CHANCE / answers:
        raise BadInput(
            f"{source.name} is right on {measured.metric:.1%} of the validation data, which is "
            f"guessing among {answers} classes: give --weights and the data they are for"
        )
    if not task.higher_is_better and measured.metric > answers / CHANCE:
        raise BadInput(
            f"{source.name} has a {task.metric} of {measured.metric:.4g} on the validation data, "
            f"which is guessing among {answers} tokens: train it longer, or give --weights"
        )
    return measured


def answers_of(source: ModelSource, task: Task, cache: Path) -> Answered:
    """The teacher's answers to the training data: of examples kept in a file of the cache."""
    if isinstance(task, Classification):
        return Known(task, _logits_of(source, task, cache))
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
            answers.append(model(batch.inputs.to(device), None, lengths).answers.float().cpu())
    assert len(answers) == -(-len(task.train) // EVALUATED)
    return torch.cat(answers).numpy()
