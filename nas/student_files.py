"""A student as files that can be loaded anywhere: weights, its layers, an exported program."""

import json
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn

from nas.errors import NasError
from nas.export import TOLERANCE
from nas.files import write_atomically
from nas.tasks.classification import Classification
from search_spaces.architecture import Architecture


def write_student(
    model: nn.Module,
    architecture: Architecture,
    task: Classification,
    example: Tensor,
    folder: Path,
) -> float:
    """Write `model.safetensors`, `architecture.json` and `model.pt2`, and compare the program.

    The program takes any number of examples and needs PyTorch alone.
    Returns the largest difference; raises `NasError` when it is beyond 1e-4.
    """
    model = model.cpu().eval()
    weights = {name: value.contiguous() for name, value in model.state_dict().items()}
    described = {
        **json.loads(architecture.to_json()),
        "layers": {name: list(value.shape) for name, value in weights.items()},
        "mean": task.mean,
        "deviation": task.deviation,
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "model.safetensors", save(weights))
    write_atomically(folder / "architecture.json", json.dumps(described, indent=1))
    two = torch.cat([example, example])
    shapes = ({0: torch.export.Dim("batch")},)
    program = torch.export.export(model, (two,), dynamic_shapes=shapes, strict=False)
    torch.export.save(program, folder / "model.pt2")
    with torch.no_grad():
        again = torch.export.load(folder / "model.pt2").module()(example)
        difference = float((again - model(example)).abs().max())
    if not difference <= TOLERANCE:
        raise NasError(f"the export in {folder} answers differently: off by {difference:g}")
    return difference
