"""`nas init`: write a search of your own to start from."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from nas.core.errors import BadInput
from nas.core.files import check_folder, write_atomically

TEMPLATES = Path(__file__).parents[1] / "templates"
FILES = ("search.toml", "my_space.py", "my_task.py", "check.py")


def init(
    folder: Annotated[Path, Argument(help="Folder to write the files to.")] = Path("."),
    json: Annotated[bool, Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Write a commented TOML file, a search space and a task to start your own search from.

    The files run as they are: `nas search search.toml --trust`. None is overwritten.
    """
    from nas.cli.output import say, say_json

    there = [name for name in FILES if (folder / name).exists()]
    if there:
        raise BadInput(
            f"{folder / there[0]} exists: move it away, or pass another folder to nas init"
        )
    check_folder(folder, "FOLDER")
    for name in FILES:
        write_atomically(folder / name, (TEMPLATES / name).read_bytes())
    if json:
        say_json({"folder": str(folder), "files": list(FILES)})
    else:
        say(f"{folder}: {', '.join(FILES)}")
        into = "" if folder == Path(".") else f"cd {folder} && "
        say(f"run it: {into}nas search search.toml --trust")
