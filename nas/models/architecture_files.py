"""Reads architectures that users name: recipe files, architecture files, cells and mixers."""

from pathlib import Path
from typing import Any

from kernels.cell.zoo import ZOO
from nas.core.errors import BadInput
from nas.core.files import read_text
from nas.core.json_text import json_lines, parse_json
from search_spaces.architecture import Architecture
from search_spaces.decisions import InvalidArchitecture
from search_spaces.rnn_cell.recipe import read_recipe
from search_spaces.sequence_mixer.zoo import ZOO as MIXERS


def read_recipes(path: Path) -> list[tuple[Any, Architecture]]:
    """Return the ids and cells of a recipe file; raises `BadInput` naming the line."""

    cells = []
    for where, row in json_lines(path):
        recipe = row.get("recipe") if isinstance(row, dict) else None
        if not isinstance(recipe, dict):
            raise BadInput(f'{where}: expected {{"id": …, "recipe": {{node: …}}}}')
        try:
            cells.append((row.get("id"), read_recipe(recipe)))
        except InvalidArchitecture as error:
            raise BadInput(f"{where}: {error}") from None
    if not cells:
        raise BadInput(f"{path} has no recipes: write one JSON object per line")
    return cells


def read_architecture(name: str) -> Architecture:
    """Read an architecture from a JSON file, a recipe file, or the name of a known cell or mixer.

    Raises `BadInput` if there is no such file or name, or the file is not an architecture.
    """

    if name in ZOO:
        return read_recipe(ZOO[name])
    if name in MIXERS:
        return MIXERS[name]
    if not Path(name).exists():
        raise BadInput(
            f"{name} is neither a file nor a known cell or mixer; cells: {', '.join(ZOO)}; "
            f"mixers: {', '.join(MIXERS)}"
        )
    data = parse_json(read_text(Path(name), "pass a JSON file of an architecture"), name)
    try:
        recipe = data.get("recipe", data) if isinstance(data, dict) else None
        if isinstance(recipe, dict) and "spec" not in recipe:
            return read_recipe(recipe)
        return Architecture.from_data(data)
    except (ValueError, InvalidArchitecture) as error:
        raise BadInput(f"{name} is not an architecture: {error}") from None
