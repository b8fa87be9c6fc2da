"""What names a network: a folder, a named model, or a task and a known cell."""

from pathlib import Path
from typing import NamedTuple

from nas.core.errors import BadInput
from nas.core.registry import available
from search_spaces.rnn_cell.zoo import ZOO

SHORT = {"tanh": "rnn-tanh", "relu": "rnn-relu"}  # cells as the literature calls them


class TaskCell(NamedTuple):
    """A known cell, and the task that the name begins with, "" for none."""

    task: str
    cell: str


def read_name(name: str) -> Path | str | TaskCell:
    """Return what a name stands for: a folder of ours, a named model, or a known cell.

    name: TASK-CELL such as "reber-lstm", a cell alone, a named model such as "resnet20" or
        package.module:function, or a folder with `architecture.json`, or a file in it.
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
            f'no model "{name}": there are TASK-CELL, as in reber-lstm, with a cell of '
            f"{', '.join([*SHORT, *ZOO])}; {', '.join(available('models'))}; and folders that "
            "`nas export` wrote"
        )
    return TaskCell(task, cell)


def check_weights_file(path: Path) -> None:
    """Raise `BadInput` if there is no file of weights at the path."""
    if not path.is_file():
        raise BadInput(f"{path} does not exist: name a file of weights")
