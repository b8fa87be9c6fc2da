"""Finds the network to compress: its architecture, its weights and its task."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import load
from torch import nn

from compress.structure.student import draw_weights
from kernels.cell.layer import set_backend
from kernels.cell.zoo import ZOO
from nas.core.errors import BadInput
from nas.core.files import read_bytes, undamaged
from nas.core.registry import BUILT_IN, create, load_task, resolve
from nas.core.settings import Named
from nas.core.task import Task
from nas.core.tensor_files import to_bytes
from nas.core.trust import named_by
from nas.models.changes import Narrowed, narrowed_in
from nas.models.description import DESCRIPTION, MOST_WEIGHTS, REMEDY, read_description
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
    narrowed: what makes the architecture's network the smaller one that is meant; None if it is
        meant itself.
    is_own: whether a user's function makes it, which may return a trained network.
    note: a line on where its weights come from, for those who read the report.
    """

    name: str
    space: str
    architecture: Architecture
    shape: ModelShape
    weights: bytes | None = None
    kernels: str = "auto"
    narrowed: Narrowed | None = None
    is_own: bool = False
    note: str = ""

    def build(self, seed: int) -> nn.Module:
        """Return the network with its weights, or with weights drawn from the seed."""
        torch.manual_seed(seed)  # for layers that initialise themselves
        generator = torch.Generator().manual_seed(seed)
        model = create("spaces", self.space).build(self.architecture, self.shape, generator)
        if self.narrowed is not None:
            model = self.narrowed.applied(model)
            draw_weights(model, generator)
        set_backend(model, self.kernels)
        if self.weights is not None:
            model.load_state_dict(load(self.weights))
        return model

    @property
    def original(self) -> "ModelSource":
        """The source of the network that the user's code or the architecture makes."""
        return replace(self, narrowed=None, weights=None)

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
    described, file = read_description(folder), folder / DESCRIPTION
    with undamaged(file, REMEDY):
        shape = ModelShape(DataShape(**described["data"]), ModelSize(**described["size"]))
        spec = described.get("teacher_spec", described["spec"])  # of what was narrowed
        architecture = Architecture.from_data({"space": described["space"], "spec": spec})
        space = str(described["found_as"])
        name = str(architecture.spec[0]) if space == FOUND_AS else ""  # type: ignore[index]
    found = _load(str(folder), _normalised(task, name) if name else task)
    if found.shape != shape.data:
        raise BadInput(
            f"{folder} was made for {_described(shape.data)}, but task {found.name} has "
            f"{_described(found.shape)}: pass the task it was trained on"
        )
    weights = folder / "model.safetensors"
    with undamaged(file, REMEDY, SyntaxError):
        narrowed = narrowed_in(described, read_bytes(weights, REMEDY, MOST_WEIGHTS))
    source = ModelSource(folder.name, space, architecture, shape, narrowed=narrowed)
    with named_by(file), undamaged(file, REMEDY, RuntimeError):
        if narrowed is None:
            return source.with_weights(weights), found
        original = source.original.build(0)
    try:
        model = narrowed.applied(original)
    except (AttributeError, KeyError, ValueError) as error:
        raise BadInput(
            f"{folder} does not fit the network that its code makes now ({error}): "
            "restore the code, or compress the network again"
        ) from None
    return replace(source, weights=weights_of(model)), found


def _named_model(name: str, task: Named) -> tuple[ModelSource, Task]:
    task = Named(name=task.name or "images", **task.options)
    found = _load(name, _normalised(task, name))
    architecture = Architecture(NamedModels.name, (name,))
    is_own = name not in BUILT_IN["models"]
    return ModelSource(name, FOUND_AS, architecture, ModelShape(found.shape), is_own=is_own), found


def _normalised(task: Named, name: str) -> Named:
    """Return a task of images with the normalisation that a named network expects."""
    normalisation = _normalisation(name) if task.name == "images" else None
    if normalisation is None:
        return task
    return Named(name=task.name, **{"normalisation": normalisation, **task.options})


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
