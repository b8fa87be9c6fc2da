"""Writes a trained model as files (weights, architecture, programs) and checks each of them."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn

from nas.core.errors import NasError
from nas.core.files import read_bytes, undamaged, write_atomically
from nas.core.registry import create
from nas.core.task import Batch
from nas.core.trust import named_by
from nas.models.changes import narrowed_in
from nas.models.description import DESCRIPTION, MOST_WEIGHTS, REMEDY, read_description
from nas.models.exported_programs import write_programs
from nas.models.file_checks import TOLERANCE, Written
from nas.models.inputs import Inputs
from search_spaces.architecture import Architecture
from search_spaces.space import DataShape, ModelShape, ModelSize

EXAMPLES = 3  # that programs are compared on
SEQUENCES = ("features", "tokens")  # kinds of data with an axis of steps


def write_model(
    model: nn.Module,
    architecture: Architecture,
    space: str,
    shape: ModelShape,
    batch: Batch,
    folder: Path,
) -> dict[str, Any]:
    """Write `model.safetensors`, `architecture.json` and the programs, and compare their answers.

    space: the name under which the architecture's space is found.
    batch: inputs for the comparison.
    Returns the files, what each takes, why others were not written, and the largest difference.
    Raises `NasError` if the weights, loaded again, answer differently.
    """
    model = model.cpu().eval()
    write_weights(model, architecture, space, shape, folder)
    inputs = batch.inputs[:1]
    with torch.no_grad():
        expected, found = model(inputs).answers, load_model(folder)(inputs).answers
    difference = float((found - expected).abs().max())
    if not difference <= TOLERANCE * max(float(expected.abs().max()), 1e-12):
        raise NasError(f"the weights in {folder} answer differently: off by {difference:g}")
    written = add_programs(model, batch.inputs[:EXAMPLES], shape.data, folder)
    return {
        "folder": str(folder),
        "files": ["architecture.json", "model.safetensors", *written.takes],
        "largest_difference": max(difference, written.difference),
        **written.facts(),
    }


def add_programs(model: nn.Module, inputs: Any, data: DataShape, folder: Path) -> Written:
    """Write the programs of a model next to its weights, and into `architecture.json` what they
    take."""
    written = write_programs(model, Inputs.of(inputs, data.kind in SEQUENCES), folder)
    file = folder / "architecture.json"
    described = {**read_description(folder), **written.facts()}
    write_atomically(file, json.dumps(described, indent=1))
    return written


def copied(network: Path, to: Path) -> dict[str, Any]:
    """Copy a network's files and read them back; raises `NasError` if one differs."""
    files = sorted(file for file in network.iterdir() if file.is_file())
    for file in files:
        write_atomically(to / file.name, file.read_bytes())
        if (to / file.name).read_bytes() != file.read_bytes():
            raise NasError(f"{to / file.name} differs from its source: is the disk full?")
    return {"source": str(network), "folder": str(to), "files": [file.name for file in files]}


def write_weights(
    model: nn.Module,
    architecture: Architecture,
    space: str,
    shape: ModelShape,
    folder: Path,
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Write `model.safetensors` and `architecture.json` for `load_model`.

    facts: further entries for `architecture.json`.
    """
    weights = {name: value.contiguous() for name, value in model.state_dict().items()}
    write_atomically(folder / "model.safetensors", save(weights))
    described = describe(architecture, space, shape, facts or {})
    write_atomically(folder / "architecture.json", json.dumps(described, indent=1))


def describe(
    architecture: Architecture, space: str, shape: ModelShape, facts: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what the untrained model can be built from: architecture, space, data and sizes."""
    return {
        **facts,
        **json.loads(architecture.to_json()),
        "found_as": space,
        "data": asdict(shape.data),
        "size": asdict(shape.size),
    }


def load_model(folder: Path) -> nn.Module:
    """Return the model in a folder of ours, in evaluation mode: an exported candidate, a student
    or a sweep's network.

    Raises `BadInput` if a file is damaged, and if the network is built by code that neither this
    project nor the caller has named; `nas.core.trust.trusting` allows it.
    """
    described, file = read_description(folder), folder / DESCRIPTION
    weights_file = folder / "model.safetensors"
    weights = read_bytes(weights_file, REMEDY, MOST_WEIGHTS)
    with undamaged(file, REMEDY):
        shape = ModelShape(DataShape(**described["data"]), ModelSize(**described["size"]))
        spec = described.get("teacher_spec", described["spec"])
        architecture = Architecture.from_data({"space": described["space"], "spec": spec})
        narrowed = narrowed_in(described, weights)
        space = str(described["found_as"])
    with named_by(file), undamaged(file, REMEDY, RuntimeError):
        model = create("spaces", space).build(architecture, shape, torch.Generator())
    with undamaged(weights_file, REMEDY, RuntimeError, SafetensorError):
        if narrowed is not None:
            return narrowed.applied(model).eval()
        model.load_state_dict(load(weights))
        return model.eval()
