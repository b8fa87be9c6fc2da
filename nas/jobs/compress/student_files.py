"""A student as files: weights, architecture, an exported program; and the student from them."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import nn

from compress.structure.narrow import replace_module
from compress.structure.place_channels import PlaceChannels
from compress.structure.student import student
from nas.core.errors import NasError
from nas.core.files import write_atomically
from nas.core.registry import create
from nas.core.task import Task
from nas.jobs.compress.job import network_of
from nas.models.exported_programs import answering, write_programs
from nas.models.model_files import TOLERANCE
from nas.models.source import ModelSource
from search_spaces.architecture import Architecture
from search_spaces.inputs import call, form_of, repeated, tensors_of, zeros
from search_spaces.layer_removal.space import student_of
from search_spaces.space import DataShape, ModelShape, ModelSize


def write_student(
    model: nn.Module,
    architecture: Architecture,
    source: ModelSource,
    task: Task,
    example: Any,
    folder: Path,
) -> float:
    """Write `model.safetensors`, `architecture.json` and the programs, and read them again.

    source: the teacher.
    Returns the largest difference; raises `NasError` when it is beyond 1e-4.
    """
    model = model.cpu().eval()
    weights = {name: value.contiguous() for name, value in model.state_dict().items()}
    described = {
        **json.loads(architecture.to_json()),
        "teacher": source.name,
        "found_as": source.space,
        "teacher_spec": source.architecture.spec,
        "data": asdict(source.shape.data),
        "size": asdict(source.shape.size),
        "example": form_of(repeated(example, 2)),
        "places": {path: module.places for path, module in _shortcuts(model)},
        **{name: getattr(task, name, None) for name in ("mean", "deviation")},  # of images
    }
    write_atomically(folder / "model.safetensors", save(weights))
    write_atomically(folder / "architecture.json", json.dumps(described, indent=1))
    answers = write_programs(model, example, folder)
    loaded = answering(load_student(folder))
    with torch.no_grad():
        expected = list(tensors_of(call(answering(model), example)))
        answers["model.safetensors"] = call(loaded, example)
    difference = max(
        float((one - other).abs().max())
        for found in answers.values()
        for one, other in zip(tensors_of(found), expected, strict=True)
    )
    if not difference <= TOLERANCE:
        raise NasError(f"the files in {folder} answer differently: off by {difference:g}")
    return difference


def load_student(folder: Path) -> nn.Module:
    """The student that `write_student` wrote, in evaluation mode; it answers as its teacher."""
    described = json.loads((folder / "architecture.json").read_text())
    shape = ModelShape(DataShape(**described["data"]), ModelSize(**described["size"]))
    spec = json.dumps({"space": described["found_as"], "spec": described["teacher_spec"]})
    space = create("spaces", described["found_as"])
    teacher = space.build(Architecture.from_json(spec), shape, torch.Generator())
    what = student_of(Architecture.from_json(json.dumps(described)))
    example = zeros(described["example"])
    model = student(network_of(teacher), example, what.removed, dict(what.widths))
    for path, module in list(_shortcuts(model)):
        replace_module(model, path, PlaceChannels(described["places"][path], module.stride))
    model.load_state_dict(load((folder / "model.safetensors").read_bytes()))
    return model.eval()


def _shortcuts(model: nn.Module) -> Iterator[tuple[str, PlaceChannels]]:
    for path, module in model.named_modules():
        if isinstance(module, PlaceChannels):
            yield path, module
