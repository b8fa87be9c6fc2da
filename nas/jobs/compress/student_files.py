"""A student as files that run without this project; and the student from them."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import nn

from nas.core.task import Task
from nas.models.file_checks import Written
from nas.models.model_files import load_model
from nas.models.narrowed_files import network_of, write_narrowed
from nas.models.source import ModelSource
from search_spaces.architecture import Architecture


def write_student(
    model: nn.Module,
    architecture: Architecture,
    source: ModelSource,
    task: Task,
    example: Any,
    folder: Path,
    programs: bool = True,
) -> Written:
    """Write a student's weights, description, programs and code, and run each of them again.

    source: the teacher.
    example: inputs of the task, one or a few.
    programs: whether to write programs and code.
    Returns what became of the files; those that fail cost themselves and a line on stderr.
    """
    described = {
        **json.loads(architecture.to_json()),
        "teacher": source.name,
        "found_as": source.space,
        "teacher_spec": source.architecture.spec,
        "data": asdict(source.shape.data),
        "size": asdict(source.shape.size),
        **{name: getattr(task, name, None) for name in ("mean", "deviation")},  # of images
    }
    return write_narrowed(model, source, described, example, folder, programs)


def load_student(folder: Path) -> nn.Module:
    """Return the student that `write_student` wrote, in evaluation mode; it answers as its
    teacher does."""
    return network_of(load_model(folder))
