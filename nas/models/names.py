"""Reads names of networks: a folder, a named model, or a task and a known cell."""

from pathlib import Path
from typing import NamedTuple

from kernels.cell.zoo import ZOO
from nas.core.errors import BadInput
from nas.core.registry import available

SHORT = {"tanh": "rnn-tanh", "relu": "rnn-relu"}  # cells as the literature calls them


class TaskCell(NamedTuple):
    """A known cell, and the task in front of it, "" for none."""

    task: str
    cell: str


def read_name(name: str) -> Path | str | TaskCell:
    """Return what a name stands for: a folder of ours, a named model, or a known cell.

    name: TASK-CELL such as "reber-lstm", a cell without a task, a model such as "resnet20" or
        package.module:function, a folder with `architecture.json`, or a file in that folder.
    Raises `BadInput` for any other name.
    """
    folder = Path(name).parent if Path(name).is_file() else Path(name)
    if (folder / "architecture.json").exists():
        return folder
    if name in available("models") or ":" in name:
        return name
    task = next((known for known in available("tasks") if name.startswith(f"{known}-")), "")
    cell = name.removeprefix(f"{task}-") if task else name
    cell = SHORT.get(cell, cell)
    if cell not in ZOO:
        raise BadInput(
            f'unknown model "{name}"; choose {", ".join(available("models"))}; TASK-CELL, such as '
            f"reber-lstm, with a cell from {', '.join([*SHORT, *ZOO])}; or a folder that "
            "`nas export` wrote"
        )
    return TaskCell(task, cell)


def check_weights_file(path: Path) -> None:
    """Raise `BadInput` if the path is not a file."""
    if not path.is_file():
        raise BadInput(f"{path} does not exist: pass a file of weights")
