"""Converts a cell to a directed graph with short labels, for drawings."""

from networkx import DiGraph

from search_spaces.architecture import Architecture
from search_spaces.rnn_cell.recipe import cell_of

LABELS = {
    "linear": "linear",
    "blend": "blend",
    "elementwise_prod": "×",
    "elementwise_sum": "+",
    "activation_tanh": "tanh",
    "activation_sigm": "σ",
    "activation_leaky_relu": "leaky ReLU",
    "activation_relu": "ReLU",
}


def graph(architecture: Architecture) -> DiGraph:
    """Return a graph whose edges go from each value to its readers.

    Nodes have `label`, `kind` (input, linear, activation, elementwise), and `state`: the number
    of the new state that the node becomes, or None.
    """
    cell = cell_of(architecture)
    drawn = DiGraph()
    drawn.add_node(0, label="x", kind="input", state=None)
    for i in range(1, cell.states + 1):
        if i in cell.needed():
            drawn.add_node(i, label=f"h{i - 1}", kind="input", state=None)
    for number, node in enumerate(cell.nodes, start=cell.states + 1):
        kind = node.op.split("_")[0]
        kind = kind if kind in ("linear", "activation") else "elementwise"
        state = cell.outputs.index(number) if number in cell.outputs else None
        drawn.add_node(
            number,
            label=LABELS.get(node.op, node.op.removeprefix("activation_")),
            kind=kind,
            state=state,
        )
        for place, source in enumerate(node.inputs):
            drawn.add_edge(source, number, place=place)
    return drawn
