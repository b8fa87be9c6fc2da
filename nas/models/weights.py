"""Reads trained weights from safetensors or PyTorch files."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from nas.core.errors import BadInput
from nas.models.names import check_weights_file

WRAPPERS = ("state_dict", "model", "model_state_dict")  # keys that often hold the weights


def load_weights(model: nn.Module, path: Path) -> None:
    """Load the weights of a `.safetensors`, `.th`, `.pt` or `.pth` file into the model.

    PyTorch files are read with `weights_only=True`. The prefix `module.`, which
    `nn.DataParallel` adds to every name, is removed.
    Raises `BadInput` naming the file and the first key and shape that do not fit.
    """
    weights = read_weights(path)
    wanted = model.state_dict()
    optional = {name for name in wanted if name.endswith("num_batches_tracked")}
    for name, value in wanted.items():
        if name not in weights and name not in optional:
            raise BadInput(f'{path} lacks "{name}" {_shape(value)}: pass weights of the same model')
        if name in weights and weights[name].shape != value.shape:
            given = _shape(weights[name])
            raise BadInput(f'{path}: "{name}" is {given}, but the model needs {_shape(value)}')
    for name, value in weights.items():
        if name not in wanted:
            raise BadInput(f'{path}: the model has no "{name}" {_shape(value)}')
    model.load_state_dict(weights, strict=False)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return a file's tensors by name; raises `BadInput` if it holds no weights."""
    check_weights_file(path)
    try:
        if path.suffix == ".safetensors":
            content: Any = load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise BadInput(
            f"{path} holds more than tensors: save model.state_dict() and pass that file"
        ) from None
    except (OSError, EOFError, RuntimeError, ValueError, SafetensorError) as error:
        raise BadInput(f"{path} cannot be read as weights: {str(error).splitlines()[0]}") from None
    for wrapper in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping) or not content:
        raise BadInput(f"{path} has no weights: save model.state_dict() and pass that file")
    return {
        str(name).removeprefix("module."): value
        for name, value in content.items()
        if isinstance(value, Tensor)
    }


def _shape(value: Tensor) -> str:
    return "×".join(map(str, value.shape)) or "scalar"
