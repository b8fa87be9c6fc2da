"""Recipes of cells, as NAS-Bench-NLP writes them, and the architectures and cells they describe."""

from collections.abc import Mapping
from typing import Any

from kernels.cell.spec import CellSpec, InvalidCell
from search_spaces.architecture import Architecture
from search_spaces.decisions import InvalidArchitecture

SPACE = "rnn-cell"  # the space that a recipe's architecture belongs to

Recipe = dict[str, dict[str, Any]]  # by node: its "op", its "input", for some its "value"


def architecture_of(recipe: Mapping[str, Any]) -> Architecture:
    """The architecture of a recipe, in canonical form, if the space's rules allow it.

    Raises `InvalidArchitecture` for a recipe that describes no cell, that leaves x or a previous
    state unread, or that hands a previous state straight to a new one.
    """
    architecture = read_recipe(recipe)
    cell = cell_of(architecture)
    names = cell.value_names()
    for value in cell.outputs:
        for source in cell.nodes[value - cell.states - 1].inputs:
            if 1 <= source <= cell.states:
                raise InvalidArchitecture(f'"{names[source]}" is fed straight to "{names[value]}"')
    return architecture


def read_recipe(recipe: Mapping[str, Any]) -> Architecture:
    """The architecture of any cell whose inputs are all read, such as the hand-made GRU.

    Raises `InvalidArchitecture`; the message names the node.
    """
    try:
        cell = CellSpec.from_recipe(recipe).canonical()
    except InvalidCell as error:
        raise InvalidArchitecture(str(error)) from error
    unread = [f"h_prev_{i - 1}" for i in range(1, cell.states + 1) if i not in cell.needed()]
    if unread:
        raise InvalidArchitecture(
            f'no new state needs "{unread[0]}": read it or remove its "h_new"'
        )
    nodes = cell.to_recipe().items()
    spec = tuple(
        (name, node["op"], tuple(node["input"]), *([node["value"]] if "value" in node else []))
        for name, node in nodes
    )
    return Architecture(SPACE, spec)


def recipe_of(architecture: Architecture) -> Recipe:
    """The recipe of an architecture, as NAS-Bench-NLP writes it."""
    spec: Any = architecture.spec
    return {
        name: {"op": op, "input": list(inputs), **({"value": value[0]} if value else {})}
        for name, op, inputs, *value in spec
    }


def cell_of(architecture: Architecture) -> CellSpec:
    """The cell of an architecture, ready for the kernels."""
    return CellSpec.from_recipe(recipe_of(architecture))
