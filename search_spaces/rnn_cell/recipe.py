"""Converts between NAS-Bench-NLP's recipes of cells, architectures and cell specs."""

from collections.abc import Mapping
from typing import Any

from kernels.cell.spec import CellSpec, InvalidCell
from search_spaces.architecture import Architecture
from search_spaces.decisions import InvalidArchitecture

SPACE = "rnn-cell"  # the space that a recipe's architecture belongs to

Recipe = dict[str, dict[str, Any]]  # node → its "op", its "input" and sometimes its "value"


def architecture_of(recipe: Mapping[str, Any]) -> Architecture:
    """Return the canonical architecture of a recipe, if the space's rules allow it.

    Raises `InvalidArchitecture` for a recipe that is not a cell, does not use x or a previous
    state, or passes a previous state directly to a new one.
    """
    architecture = read_recipe(recipe)
    cell = cell_of(architecture)
    unread = [f"h_prev_{i - 1}" for i in range(1, cell.states + 1) if i not in cell.needed()]
    if unread:
        raise InvalidArchitecture(
            f'no new state depends on "{unread[0]}": read it or remove its "h_new"'
        )
    names = cell.value_names()
    for value in cell.outputs:
        for source in cell.nodes[value - cell.states - 1].inputs:
            if 1 <= source <= cell.states:
                raise InvalidArchitecture(
                    f'"{names[value]}" reads "{names[source]}" directly: put a node between them'
                )
    return architecture


def read_recipe(recipe: Mapping[str, Any]) -> Architecture:
    """Return the architecture of any cell, such as a standard GRU.

    Raises `InvalidArchitecture` naming the node.
    """
    try:
        cell = CellSpec.from_recipe(recipe).canonical()
    except InvalidCell as error:
        raise InvalidArchitecture(str(error)) from error
    nodes = cell.to_recipe().items()
    spec = tuple(
        (name, node["op"], tuple(node["input"]), *([node["value"]] if "value" in node else []))
        for name, node in nodes
    )
    return Architecture(SPACE, spec)


def recipe_of(architecture: Architecture) -> Recipe:
    """Return the recipe of an architecture, in NAS-Bench-NLP's format."""
    spec: Any = architecture.spec
    return {
        name: {"op": op, "input": list(inputs), **({"value": value[0]} if value else {})}
        for name, op, inputs, *value in spec
    }


def cell_of(architecture: Architecture) -> CellSpec:
    """Return the cell spec of an architecture, for the kernels."""
    return CellSpec.from_recipe(recipe_of(architecture))
