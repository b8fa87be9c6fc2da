"""The network that is made smaller: a name, a checkpoint's folder, and the weights it has."""

import io
import json
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from kernels.cell.layer import set_backend
from nas.assembly import load_task
from nas.config import Named
from nas.errors import BadInput
from nas.registry import available, create
from nas.tasks.task import Task
from search_spaces.architecture import Architecture
from search_spaces.rnn_cell.space import read_recipe
from search_spaces.rnn_cell.zoo import ZOO
from search_spaces.space import DataShape, ModelShape, ModelSize

SHORT = {"tanh": "rnn-tanh", "relu": "rnn-relu"}  # cells as the literature calls them


@dataclass(frozen=True)
class Subject:
    """A network as any worker can build it.

    space: the name under which the architecture's space is found.
    weights: trained ones as safetensors, None for a network that is not trained yet.
    """

    name: str
    space: str
    architecture: Architecture
    shape: ModelShape
    weights: bytes | None = None
    kernels: str = "auto"

    def build(self, seed: int) -> nn.Module:
        """The network with its weights, or with those that belong to the seed."""
        torch.manual_seed(seed)
        generator = torch.Generator().manual_seed(seed)
        model = create("spaces", self.space).build(self.architecture, self.shape, generator)
        set_backend(model, self.kernels)
        if self.weights is not None:
            model.load_state_dict(load(self.weights))
        return model


def find_subject(
    name: str, weights: Path | None, task: Named, size: ModelSize
) -> tuple[Subject, Task]:
    """The network that a name stands for, and the task that it is for.

    name: TASK-CELL such as "reber-lstm", a cell alone where a task is given, or a folder that
        `nas train --to` or `nas export` wrote.
    Raises `BadInput` when there is no such network or the weights do not fit it.
    """
    if (Path(name) / "architecture.json").exists():
        subject, found = _from_folder(Path(name)), _named_task(name, task)
        if found.shape != subject.shape.data:
            raise BadInput(
                f"{name} was made for {_said(subject.shape.data)}, the task {found.name} has "
                f"{_said(found.shape)}: name its own task"
            )
    else:
        subject, found = _from_name(name, task, size)
    if weights is not None:
        subject = replace(subject, weights=_read_weights(weights))
    _check_weights(subject, weights or Path(name))
    return subject, found


def _from_folder(folder: Path) -> Subject:
    text = (folder / "architecture.json").read_text()
    try:
        described = json.loads(text)
        shape = ModelShape(DataShape(**described["data"]), ModelSize(**described["size"]))
        architecture = Architecture.from_json(text)
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{folder / 'architecture.json'} describes no model: {error}") from None
    content = _read_weights(folder / "model.safetensors")
    return Subject(folder.name, described["found_as"], architecture, shape, content)


def _from_name(name: str, task: Named, size: ModelSize) -> tuple[Subject, Task]:
    tasks = [known for known in available("tasks") if name.startswith(f"{known}-")]
    cell = name.removeprefix(f"{tasks[0]}-") if tasks else name
    cell = SHORT.get(cell, cell)
    if cell not in ZOO:
        raise BadInput(
            f'no model "{name}": there are TASK-CELL, as in reber-lstm, with a cell of '
            f"{', '.join([*SHORT, *ZOO])}, and folders that `nas export` wrote"
        )
    if tasks and not task.name:
        task = Named(name=tasks[0], **task.options)
    found = _named_task(name, task)
    architecture = read_recipe(ZOO[cell])
    return Subject(name, "rnn-cell", architecture, ModelShape(found.shape, size)), found


def _named_task(name: str, task: Named) -> Task:
    if not task.name:
        raise BadInput(f"{name} is measured on data: give it with --task, and --data where needed")
    return load_task(task.name, task.options)


def _read_weights(path: Path) -> bytes:
    """A state dictionary's safetensors of a `.safetensors` file or of PyTorch's own format."""
    try:
        content = path.read_bytes()
        if path.suffix == ".safetensors":
            load(content)
            return content
        stored = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        stored = stored.get("state_dict", stored)
        return save({_plain(k): v.clone() for k, v in stored.items() if isinstance(v, Tensor)})
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}") from None
    except (SafetensorError, RuntimeError, ValueError, AttributeError, EOFError) as error:
        reason = str(error).splitlines()[0]
        raise BadInput(f"{path} holds no weights: {reason}") from None
    except Exception as error:  # what torch.load raises for a file that is no checkpoint
        raise BadInput(f"{path} holds no weights: {type(error).__name__}") from None


def _plain(name: str) -> str:
    return name.removeprefix("module.")  # of nn.DataParallel


def _check_weights(subject: Subject, path: Path) -> None:
    """Raises `BadInput` naming the first tensor that is not as the network has it."""
    if subject.weights is None:
        return
    given = load(subject.weights)
    for name, tensor in replace(subject, weights=None).build(0).state_dict().items():
        if name not in given:
            raise BadInput(f"{path} has no {name}, which {subject.name} needs")
        if given[name].shape != tensor.shape:
            have, need = tuple(given[name].shape), tuple(tensor.shape)
            raise BadInput(f"{path}: {name} is {have}, {subject.name} needs {need}")


def _said(shape: DataShape) -> str:
    return f"{shape.inputs} inputs and {shape.outputs} answers ({shape.kind})"
