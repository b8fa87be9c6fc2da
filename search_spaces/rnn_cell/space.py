"""The search space of NAS-Bench-NLP, whose recurrent cells are small graphs of operations."""

from typing import TYPE_CHECKING

from search_spaces.architecture import Architecture
from search_spaces.decisions import Decisions
from search_spaces.rnn_cell.recipe import SPACE, Recipe, architecture_of, cell_of
from search_spaces.space import ModelShape, Space

if TYPE_CHECKING:
    import torch
    from networkx import DiGraph
    from torch import nn

# Operations have the weights linear 3, blend 1, product 1, sum 1, and one of three activations
# follows a linear, so there are six equally likely productions.
PRODUCTIONS = (
    "linear activation_tanh",
    "linear activation_sigm",
    "linear activation_leaky_relu",
    "blend",
    "elementwise_prod",
    "elementwise_sum",
)
INPUTS = {"blend": 3, "elementwise_prod": 2, "elementwise_sum": 2}


class RnnCellSpace(Space):
    """Recurrent cells of 1 to 3 hidden states.

    hidden_states: the fewest and the most hidden states of a cell.
    budgets: choices for the number of nodes to draw, beyond one per state; unused nodes are removed
        afterwards.

    The grammar, the weights and the rules of validity are those of the published generator:
    Klyuchnikov et al. 2022, https://arxiv.org/abs/2006.07116, section 3.1. About a third of all
    proposals are valid.
    """

    name = SPACE

    def __init__(
        self, hidden_states: tuple[int, int] = (1, 3), budgets: tuple[int, ...] = (7, 14, 21)
    ) -> None:
        match hidden_states:
            case [int(fewest), int(most)] if 1 <= fewest <= most:
                self.hidden_states = (fewest, most)
            case _:
                raise ValueError(
                    f"hidden_states must be fewest and most, such as [1, 3], not {hidden_states}"
                )
        match budgets:
            case [*numbers] if numbers and all(type(n) is int and n >= 0 for n in numbers):
                self.budgets = tuple(numbers)
            case _:
                raise ValueError(
                    f"budgets must be numbers of nodes, such as [7, 14, 21], not {budgets}"
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
        """Return the cell's graph for drawings."""
        from search_spaces.rnn_cell.graph import graph

        return graph(architecture)


def _draw_nodes(decisions: Decisions, states: int, wanted: int) -> Recipe:
    """Draw nodes that read x (linear only), previous states and earlier nodes."""
    previous = [f"h_prev_{i}" for i in range(states)]
    recipe: Recipe = {}
    activations: list[str] = []
    draw = 0
    while len(recipe) < wanted:
        asked = decisions.scope(f"draw_{draw}")
        draw += 1
        production = asked.choose("operation", PRODUCTIONS)
        if production.startswith("linear"):
            # A linear has two inputs with probability 4/5, otherwise three.
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
    """Draw several different sources, in order."""
    left = list(sources)
    return [left.pop(decisions.integer(f"input_{j}", 0, len(left) - 1)) for j in range(wanted)]


def _name_new_states(decisions: Decisions, recipe: Recipe, states: int) -> Recipe:
    """Return the recipe with drawn nodes renamed to `h_new_0`, `h_new_1`, …"""
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
    """Return the recipe without the nodes that no new state needs."""
    waiting = [name for name in recipe if name.startswith("h_new_")]
    needed = set(waiting)
    while waiting:
        for source in recipe[waiting.pop()]["input"]:
            if source in recipe and source not in needed:
                needed.add(source)
                waiting.append(source)
    return {name: node for name, node in recipe.items() if name in needed}
