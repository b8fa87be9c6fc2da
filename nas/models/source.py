"""Finds the network to compress: its architecture, its weights and its task."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import load
from torch import nn

from kernels.cell.layer import set_backend
from kernels.cell.zoo import ZOO
from nas.core.errors import BadInput
from nas.core.registry import BUILT_IN, create, load_task, resolve
from nas.core.settings import Named
from nas.core.task import Task
from nas.core.tensor_files import to_bytes
from nas.models.names import TaskCell, read_name
from nas.models.space import FOUND_AS, Answering, NamedModels
from nas.models.weights import load_weights
from search_spaces.architecture import Architecture
from search_spaces.rnn_cell.recipe import read_recipe
from search_spaces.space import DataShape, ModelShape, ModelSize


@dataclass(frozen=True)
class ModelSource:
    """A description from which any worker can build a network.

    space: the registered name of the architecture's space.
    weights: trained weights as safetensors; None for a network that is not trained yet.
    kernels: the backend of `kernels.cell.op` that runs recurrent cells, or "auto".
    is_own: whether a user's function makes it, which may return a trained network.
    note: a line on where its weights come from, for those who read the report.
    """

    name: str
    space: str
    architecture: Architecture
    shape: ModelShape
    weights: bytes | None = None
    kernels: str = "auto"
    is_own: bool = False
    note: str = ""

    def build(self, seed: int) -> nn.Module:
        """Return the network with its weights, or with weights drawn from the seed."""
        torch.manual_seed(seed)  # for layers that initialise themselves
        generator = torch.Generator().manual_seed(seed)
        model = create("spaces", self.space).build(self.architecture, self.shape, generator)
        set_backend(model, self.kernels)
        if self.weights is not None:
            model.load_state_dict(load(self.weights))
        return model

    def with_weights(self, path: Path) -> "ModelSource":
        """Return the source with a file's weights; raises `BadInput` if they do not fit."""
        model = self.build(0)
        network = model.network if isinstance(model, Answering) else model
        ours = (path.parent / "architecture.json").exists()  # our files name the wrapped model
        load_weights(model if ours else network, path)
        return replace(self, weights=weights_of(model))


def weights_of(model: nn.Module) -> bytes:
    """Return the state dictionary as safetensors."""
    return to_bytes(model.state_dict())


def find_model(
    name: str, weights: Path | None, task: Named, size: ModelSize
) -> tuple[ModelSource, Task]:
    """Return the network that a name stands for, and its task.

    name: see `read_name`; a cell without a task needs `task`; a folder must come from
        `nas train --to` or `nas export`.
    Raises `BadInput` if there is no such network or the weights do not fit it.
    """
    match read_name(name):
        case Path() as folder:
            source, found = _from_folder(folder, task)
        case TaskCell() as read:
            source, found = _from_cell(name, read, task, size)
        case _:
            source, found = _named_model(name, task)
    return (source if weights is None else source.with_weights(weights)), found


def _from_folder(folder: Path, task: Named) -> tuple[ModelSource, Task]:
    text = (folder / "architecture.json").read_text()
    try:
        described = json.loads(text)
        shape = ModelShape(DataShape(**described["data"]), ModelSize(**described["size"]))
        architecture = Architecture.from_json(text)
        space = described["found_as"]
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{folder / 'architecture.json'} is not a model: {error}") from None
    found = _load(str(folder), task)
    if found.shape != shape.data:
        raise BadInput(
            f"{folder} was made for {_described(shape.data)}, but task {found.name} has "
            f"{_described(found.shape)}: pass the task it was trained on"
        )
    source = ModelSource(folder.name, space, architecture, shape)
    return source.with_weights(folder / "model.safetensors"), found


def _named_model(name: str, task: Named) -> tuple[ModelSource, Task]:
    normalisation = _normalisation(name)
    options = task.options
    if task.name in ("", "images") and normalisation:
        options.setdefault("normalisation", normalisation)
    found = _load(name, Named(name=task.name or "images", **options))
    architecture = Architecture(NamedModels.name, (name,))
    is_own = name not in BUILT_IN["models"]
    return ModelSource(name, FOUND_AS, architecture, ModelShape(found.shape), is_own=is_own), found


def _normalisation(name: str) -> str | None:
    """Return how the network expects images: `normalisation` of the function or of the network."""
    made = resolve("models", name)
    own = getattr(made, "normalisation", None)
    return own if own or ":" in name else getattr(create("models", name), "normalisation", None)


def _from_cell(name: str, read: TaskCell, task: Named, size: ModelSize) -> tuple[ModelSource, Task]:
    if read.task and not task.name:
        task = Named(name=read.task, **task.options)
    found = _load(name, task)
    return ModelSource(
        name, "rnn-cell", read_recipe(ZOO[read.cell]), ModelShape(found.shape, size)
    ), found


def _load(name: str, task: Named) -> Task:
    if not task.name:
        raise BadInput(f"{name} needs data: pass --task NAME, and --data PATH if the task needs it")
    return load_task(task.name, task.options)


def _described(shape: DataShape) -> str:
    return f"{shape.inputs} inputs and {shape.outputs} outputs ({shape.kind})"
