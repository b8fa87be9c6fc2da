"""The search space of NAS-Bench-NLP: recurrent cells as small graphs of operations."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kernels.cell.spec import CellSpec, InvalidCell
from search_spaces.architecture import Architecture
from search_spaces.decisions import Decisions, InvalidArchitecture
from search_spaces.space import ModelShape

if TYPE_CHECKING:
    import torch
    from networkx import DiGraph
    from torch import nn

# An operation is drawn with weights linear 3, blend 1, product 1, sum 1, and a linear is followed
# by one of three activations: six equally likely productions.
PRODUCTIONS = (
    "linear activation_tanh",
    "linear activation_sigm",
    "linear activation_leaky_relu",
    "blend",
    "elementwise_prod",
    "elementwise_sum",
)
INPUTS = {"blend": 3, "elementwise_prod": 2, "elementwise_sum": 2}

Recipe = dict[str, dict[str, Any]]


class RnnCellSpace:
    """Recurrent cells of 1 to 3 hidden states.

    hidden_states: how many states a cell may carry, fewest and most.
    budgets: how many nodes are drawn beyond one a state, before unused ones are removed.

    The grammar, the weights and the rules of validity are those of the published generator:
    Klyuchnikov et al. 2022, https://arxiv.org/abs/2006.07116, section 3.1. About a third of the
    proposals is valid.
    """

    name = "rnn-cell"

    def __init__(
        self, hidden_states: tuple[int, int] = (1, 3), budgets: tuple[int, ...] = (7, 14, 21)
    ) -> None:
        match hidden_states:
            case [int(fewest), int(most)] if 1 <= fewest <= most:
                self.hidden_states = (fewest, most)
            case _:
                raise ValueError(
                    f"hidden_states is {hidden_states}, must be fewest and most, as in [1, 3]"
                )
        match budgets:
            case [*numbers] if numbers and all(type(n) is int and n >= 0 for n in numbers):
                self.budgets = tuple(numbers)
            case _:
                raise ValueError(
                    f"budgets is {budgets}, must be numbers of nodes, as in [7, 14, 21]"
                )

    def decide(self, decisions: Decisions) -> Architecture:
        states = decisions.integer("hidden_states", *self.hidden_states)
        budget = decisions.choose("nodes", self.budgets)
        recipe = _draw_nodes(decisions, states, states + budget)
        recipe = _name_new_states(decisions, recipe, states)
        return architecture_of(_without_unused(recipe))

    def build(
        self, architecture: Architecture, shape: ModelShape, generator: "torch.Generator"
    ) -> "nn.Module":
        from search_spaces.rnn_cell.model import build_model  # imports torch

        return build_model(cell_of(architecture), shape, generator)

    def graph(self, architecture: Architecture) -> "DiGraph":
        """The cell as drawings have it."""
        from search_spaces.rnn_cell.graph import graph

        return graph(architecture)


def _draw_nodes(decisions: Decisions, states: int, wanted: int) -> Recipe:
    """Nodes that read x (linear only), previous states and earlier nodes."""
    previous = [f"h_prev_{i}" for i in range(states)]
    recipe: Recipe = {}
    activations: list[str] = []
    draw = 0
    while len(recipe) < wanted:
        asked = decisions.scope(f"draw_{draw}")
        draw += 1
        production = asked.choose("operation", PRODUCTIONS)
        if production.startswith("linear"):
            # Two inputs four times in five, three otherwise.
            inputs = 3 if asked.integer("fifth", 0, 4) == 4 else 2
            sources = ["x", *previous, *activations]
            linear, activation = f"node_{len(recipe)}", f"node_{len(recipe) + 1}"
            read = _distinct(asked, sources, min(inputs, len(sources)))
            recipe[linear] = {"op": "linear", "input": read}
            recipe[activation] = {"op": production.split()[1], "input": [linear]}
            activations.append(activation)
        else:
            sources = [*previous, *recipe]
            if len(sources) >= INPUTS[production]:
                read = _distinct(asked, sources, INPUTS[production])
                recipe[f"node_{len(recipe)}"] = {"op": production, "input": read}
    return recipe


def _distinct(decisions: Decisions, sources: list[str], wanted: int) -> list[str]:
    """Several different sources in the order drawn."""
    left = list(sources)
    return [left.pop(decisions.integer(f"input_{j}", 0, len(left) - 1)) for j in range(wanted)]


def _name_new_states(decisions: Decisions, recipe: Recipe, states: int) -> Recipe:
    """The recipe with some of its nodes called `h_new_0`, `h_new_1`, …"""
    left = list(recipe)
    new_names = {
        left.pop(decisions.integer(f"h_new_{i}", 0, len(left) - 1)): f"h_new_{i}"
        for i in range(states)
    }
    return {
        new_names.get(name, name): {
            "op": node["op"],
            "input": [new_names.get(source, source) for source in node["input"]],
        }
        for name, node in recipe.items()
    }


def _without_unused(recipe: Recipe) -> Recipe:
    """The recipe without the nodes that no new state needs."""
    waiting = [name for name in recipe if name.startswith("h_new_")]
    needed = set(waiting)
    while waiting:
        for source in recipe[waiting.pop()]["input"]:
            if source in recipe and source not in needed:
                needed.add(source)
                waiting.append(source)
    return {name: node for name, node in recipe.items() if name in needed}


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
    return Architecture(RnnCellSpace.name, spec)


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
