"""Numbers that describe a cell's graph: counts, paths from x and the states, ranges and growth."""

import math
from collections.abc import Sequence

from kernels.cell.spec import CellSpec

COUNTED = (
    "linear",
    "blend",
    "elementwise_prod",
    "elementwise_sum",
    "activation_tanh",
    "activation_sigm",
    "activation_leaky_relu",
)
SQUASHING = ("activation_tanh", "activation_sigm")
STEEPEST = 20.0  # larger degrees count as this one

Range = tuple[float, float]


def structure(cell: CellSpec) -> dict[str, float]:
    """Return numbers by name, with the same names for every cell of NAS-Bench-NLP's grammar.

    `x_…` and `h_…` describe the paths from x and from the state h_0 to the new h_0: the fewest and
    most nodes, the fewest linears and the fewest squashing activations; -1 if there is no path.
    """
    return {**_counts(cell), **_ways(cell), **_outputs(cell), **_gates(cell)}


def _counts(cell: CellSpec) -> dict[str, float]:
    read = [i for node in cell.nodes if node.op == "linear" for i in node.inputs]
    counts = {op: sum(node.op == op for node in cell.nodes) for op in COUNTED}
    counts |= {
        "states": cell.states,
        "nodes": len(cell.nodes),
        "matrices_x": read.count(0),
        "matrices_h": sum(1 <= i <= cell.states for i in read),
        "matrices_inner": sum(i > cell.states for i in read),
    }
    return {name: float(number) for name, number in counts.items()}


def _ways(cell: CellSpec) -> dict[str, float]:
    names = ("shortest", "longest", "linears", "squashes")
    ways = [_ways_from(cell, source) for source in range(cell.states + 1)]
    none = (-1.0,) * len(names)
    found = {
        f"{leaf}_{name}": number
        for leaf, way in (("x", ways[0]), ("h", ways[1]))
        for name, number in zip(names, way.get(cell.outputs[0], none), strict=True)
    }
    # states that reach their new value without a linear node, like an LSTM's cell state
    carried = [ways[i + 1].get(output, none)[2] == 0 for i, output in enumerate(cell.outputs)]
    return {**found, "carried": float(sum(carried))}


def _ways_from(cell: CellSpec, source: int) -> dict[int, tuple[float, ...]]:
    """Return, for every value that depends on the source: nodes on the shortest and the longest
    path, fewest linears, fewest squashing activations."""
    ways = {source: (0.0, 0.0, 0.0, 0.0)}
    for value, node in enumerate(cell.nodes, start=cell.states + 1):
        before = [ways[i] for i in node.inputs if i in ways]
        if before:
            shortest, longest, linears, squashes = zip(*before, strict=True)
            ways[value] = (
                min(shortest) + 1,
                max(longest) + 1,
                min(linears) + (node.op == "linear"),
                min(squashes) + (node.op in SQUASHING),
            )
    return ways


def _outputs(cell: CellSpec) -> dict[str, float]:
    """Return how the new states are computed, their ranges and how fast they can grow."""
    ranges = _ranges(cell)
    last = [cell.nodes[output - cell.states - 1].op for output in cell.outputs]
    bounded = [all(map(math.isfinite, ranges[output])) for output in cell.outputs]
    positive = [ranges[output][0] >= 0 for output in cell.outputs]
    return {
        **{f"output_{op}": float(last[0] == op) for op in COUNTED},
        "output_bounded": float(bounded[0]),
        "output_positive": float(positive[0]),
        "bounded": sum(bounded) / cell.states,
        "positive": sum(positive) / cell.states,
        "degree": _degree(cell),
    }


def _ranges(cell: CellSpec) -> list[Range]:
    """Return the range of every value, by interval arithmetic."""
    everything = (-math.inf, math.inf)
    ranges = [everything] * (cell.states + 1)
    for node in cell.nodes:
        ranges.append(_range(node.op, [ranges[i] for i in node.inputs]))
    return ranges


def _range(op: str, inputs: Sequence[Range]) -> Range:
    match op:
        case "activation_tanh":
            return (-1.0, 1.0)
        case "activation_sigm":
            return (0.0, 1.0)
        case "activation_leaky_relu":
            return (min(inputs[0]), max(inputs[0]))
        case "elementwise_sum":
            return (sum(low for low, _ in inputs), sum(high for _, high in inputs))
        case "elementwise_prod":
            return _product(inputs)
        case "blend" if inputs[0] == (0.0, 1.0):
            return (min(inputs[1][0], inputs[2][0]), max(inputs[1][1], inputs[2][1]))
        case "linear" if all(math.isfinite(end) for interval in inputs for end in interval):
            return (-2.0, 2.0)  # bounded; the bound depends on the weights
    return (-math.inf, math.inf)


def _product(inputs: Sequence[Range]) -> Range:
    low, high = 1.0, 1.0
    for interval in inputs:
        ends = [0.0 if 0 in (a, b) else a * b for a in (low, high) for b in interval]
        low, high = min(ends), max(ends)
    return (low, high)


def _degree(cell: CellSpec) -> float:
    """Return the degree of the new h_0 as a polynomial of x after 4 steps; above 1 it explodes."""
    states = [1.0] * cell.states
    for _ in range(4):
        degrees = [1.0, *states]
        for node in cell.nodes:
            degrees.append(min(STEEPEST, _degree_of(node.op, [degrees[i] for i in node.inputs])))
        states = [degrees[output] for output in cell.outputs]
    return states[0]


def _degree_of(op: str, inputs: Sequence[float]) -> float:
    if op in SQUASHING:
        return 0.0
    if op == "elementwise_prod":
        return sum(inputs)
    if op == "blend":
        gate, first, second = inputs
        return gate + max(first, second)
    return max(inputs, default=0.0)


def _gates(cell: CellSpec) -> dict[str, float]:
    """Count products and blends: gated by a sigmoid or by anything else, and acting on a state."""
    sigmoids = {
        value
        for value, node in enumerate(cell.nodes, start=cell.states + 1)
        if node.op == "activation_sigm"
    }
    states = set(range(1, cell.states + 1))
    products = [set(node.inputs) for node in cell.nodes if node.op == "elementwise_prod"]
    blends = [node.inputs for node in cell.nodes if node.op == "blend"]
    on_states = [*products, *(set(inputs[1:]) for inputs in blends)]
    return {
        "gated_products": float(sum(bool(inputs & sigmoids) for inputs in products)),
        "gated_blends": float(sum(inputs[0] in sigmoids for inputs in blends)),
        "gates_on_states": float(sum(bool(inputs & states) for inputs in on_states)),
    }
