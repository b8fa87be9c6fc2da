"""Reads architectures that users name: recipe files, architecture files, known cells."""

import json
from pathlib import Path
from typing import Any

from kernels.cell.zoo import ZOO
from nas.core.errors import BadInput
from search_spaces.architecture import Architecture
from search_spaces.decisions import InvalidArchitecture
from search_spaces.rnn_cell.recipe import read_recipe


def read_recipes(path: Path) -> list[tuple[Any, Architecture]]:
    """Return the ids and cells of a recipe file; raises `BadInput` naming the line."""

    cells = []
    for number, line in enumerate(_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            cells.append((row.get("id"), read_recipe(row["recipe"])))
        except json.JSONDecodeError as error:
            raise BadInput(f"{path}, line {number}: not JSON: {error}") from None
        except (KeyError, TypeError, AttributeError):
            raise BadInput(
                f'{path}, line {number}: expected {{"id": …, "recipe": {{node: …}}}}'
            ) from None
        except InvalidArchitecture as error:
            raise BadInput(f"{path}, line {number}: {error}") from None
    if not cells:
        raise BadInput(f"{path} has no recipes: write one JSON object per line")
    return cells


def read_architecture(name: str) -> Architecture:
    """Read an architecture from a JSON file, a recipe file, or the name of a known cell.

    Raises `BadInput` if there is no such file or cell, or the file is not an architecture.
    """

    if name in ZOO:
        return read_recipe(ZOO[name])
    if not Path(name).exists():
        raise BadInput(f"{name} is neither a file nor a known cell; known cells: {', '.join(ZOO)}")
    text = _text(Path(name))
    try:
        data = json.loads(text)
        if isinstance(data, dict) and "spec" not in data:
            return read_recipe(data.get("recipe", data))
        return Architecture.from_json(text)
    except (ValueError, InvalidArchitecture) as error:
        raise BadInput(f"{name} is not an architecture: {error}") from None


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} cannot be read: {error}") from None
