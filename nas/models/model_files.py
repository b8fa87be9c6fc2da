"""Writes a trained model as files (weights, architecture, programs) and checks each of them."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import nn

from nas.core.errors import NasError
from nas.core.files import write_atomically
from nas.core.registry import create
from nas.core.task import Batch
from nas.models.exported_programs import write_programs
from search_spaces.architecture import Architecture
from search_spaces.space import DataShape, ModelShape, ModelSize

TOLERANCE = 1e-4


def write_model(
    model: nn.Module,
    architecture: Architecture,
    space: str,
    shape: ModelShape,
    batch: Batch,
    folder: Path,
) -> dict[str, Any]:
    """Write `model.safetensors`, `architecture.json` and the programs, and compare their answers.

    space: the registered name of the architecture's space.
    batch: inputs for the comparison; the programs take sequences of this length.
    Returns the files and the largest difference. Raises `NasError` if it exceeds 1e-4.
    """
    model = model.cpu().eval()
    inputs = batch.inputs[:1]
    with torch.no_grad():
        expected = model(inputs).answers
    write_weights(model, architecture, space, shape, folder)
    with torch.no_grad():
        answers = {"model.safetensors": load_model(folder)(inputs).answers}
    answers |= write_programs(model, inputs, folder)
    difference = max(float((a - expected).abs().max()) for a in answers.values())
    if not difference <= TOLERANCE:
        raise NasError(
            f"the export in {folder} does not reproduce the model: answers differ by {difference:g}"
        )
    return {
        "folder": str(folder),
        "files": ["architecture.json", *answers],
        "largest_difference": difference,
    }


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
    write_atomically(folder / "architecture.json", described)


def describe(
    architecture: Architecture, space: str, shape: ModelShape, facts: Mapping[str, Any]
) -> str:
    """Return JSON that `load_model` builds the model from: architecture, space, data and sizes."""
    described = {
        **facts,
        **json.loads(architecture.to_json()),
        "found_as": space,
        "data": asdict(shape.data),
        "size": asdict(shape.size),
    }
    return json.dumps(described, indent=1)


def load_model(folder: Path) -> nn.Module:
    """Return the model that `write_model` wrote, in evaluation mode."""
    text = (folder / "architecture.json").read_text()
    described = json.loads(text)
    shape = ModelShape(DataShape(**described["data"]), ModelSize(**described["size"]))
    space = create("spaces", described["found_as"])
    model = space.build(Architecture.from_json(text), shape, torch.Generator())
    model.load_state_dict(load((folder / "model.safetensors").read_bytes()))
    return model.eval()
