"""The teacher of a compression: found or trained, checked, and asked once for its answers."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from nas.compressing.config import CompressConfig
from nas.config import Named
from nas.errors import BadInput
from nas.files import write_atomically
from nas.subject import Subject, find_subject, weights_of
from nas.tasks.classification import EVALUATED, Classification
from nas.tasks.distilled import Answered, Asked, Known
from nas.tasks.task import Measured, Task
from nas.tasks.text import LanguageModelling
from nas.training import TrainingSettings, best_device, evaluate, train_rung
from search_spaces.space import ModelSize

CHANCE = 1.5  # times as good as guessing, the least that a teacher must be


def find_teacher(config: CompressConfig) -> tuple[Subject, Classification | LanguageModelling]:
    """The network and its task; raises `BadInput` where either cannot be used."""
    named = config.task
    if not named.name and not named.options and config.weights is None:
        named = Named(name="digits")
    size = ModelSize(**config.size.model_dump())
    subject, task = find_subject(config.teacher, config.weights, named, size)
    if not isinstance(task, Classification | LanguageModelling):
        raise BadInput(
            f"{task.name} is neither a classification nor language modelling: students learn the "
            "logits of their teacher"
        )
    return subject, task


def trained_teacher(
    subject: Subject, task: Task, steps: int, settings: TrainingSettings, file: Path
) -> Subject:
    """The subject with weights: its own, those of the file, or new ones, kept in the file."""
    if subject.weights is not None:
        return subject
    if not file.exists():
        model = subject.build(0)
        train_rung(model, task, settings, 0, steps)
        write_atomically(file, weights_of(model))
    return replace(subject, weights=file.read_bytes())


def checked_quality(subject: Subject, task: Task) -> Measured:
    """Loss and metric on the validation data; raises `BadInput` for one that only guesses."""
    model = subject.build(0)
    try:
        measured = evaluate(model, task, task.validation_batches())
    except RuntimeError as error:
        shape = task.shape
        raise BadInput(
            f"{subject.name} cannot take {shape.inputs} × {shape.height} × {shape.width} "
            f"{shape.kind}: {str(error).splitlines()[0]}"
        ) from None
    answers = task.shape.outputs
    if task.higher_is_better and measured.metric < CHANCE / answers:
        raise BadInput(
            f"{subject.name} is right on {measured.metric:.1%} of the validation data, which is "
            f"guessing among {answers} classes: give --weights and the data they are for"
        )
    if not task.higher_is_better and measured.metric > answers / CHANCE:
        raise BadInput(
            f"{subject.name} has a {task.metric} of {measured.metric:.4g} on the validation data, "
            f"which is guessing among {answers} tokens: train it longer, or give --weights"
        )
    return measured


def answers_of(subject: Subject, task: Task, cache: Path) -> Answered:
    """The teacher's answers to the training data: of examples kept in a file of the cache."""
    if isinstance(task, Classification):
        return Known(task, _logits_of(subject, task, cache))
    return Asked(task, subject)


def _logits_of(subject: Subject, task: Classification, cache: Path) -> np.ndarray:
    """`[n, classes]`; asked for once."""
    assert subject.weights is not None
    key = hashlib.sha256(subject.weights)
    key.update(np.ascontiguousarray(task.train.inputs).tobytes())
    key.update(repr((subject.name, task.mean, task.deviation)).encode())
    file = cache / f"logits-{key.hexdigest()[:16]}.npy"
    if not file.exists():
        cache.mkdir(parents=True, exist_ok=True)
        temporary = file.with_name(f".{file.name}.npy")
        np.save(temporary, _answers(subject.build(0), task))
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
