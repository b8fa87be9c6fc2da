"""The description of a recurrent cell: a small graph of operations, checked and comparable."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kernels.cell.canonical import canonical_order
from kernels.cell.operations import OPERATIONS


class InvalidCell(ValueError):
    """A recipe that describes no cell; the message names the node and the remedy."""


@dataclass(frozen=True, slots=True)
class Node:
    """One operation of a cell.

    op: a key of `OPERATIONS`.
    inputs: numbers of the values read; 0 is the input x, 1 … S are the previous states,
        S + 1 + k is the result of node k.
    value: the number that a constant is.
    """

    op: str
    inputs: tuple[int, ...]
    value: float | None = None


@dataclass(frozen=True, slots=True)
class CellSpec:
    """A recurrent cell: nodes in an order in which they can be computed.

    nodes: the operations; a node reads only x, previous states and nodes before it.
    outputs: for each of the S states the number of the value that becomes it;
        the first one is the cell's output.
    """

    nodes: tuple[Node, ...]
    outputs: tuple[int, ...]

    @property
    def states(self) -> int:
        """How many hidden states the cell carries, S."""
        return len(self.outputs)

    @classmethod
    def from_recipe(cls, recipe: Mapping[str, Any]) -> "CellSpec":
        """Read a recipe of NAS-Bench-NLP: `{node: {"op": …, "input": […]}}`.

        The leaves are `x` and `h_prev_i`, the new states `h_new_i`.
        Klyuchnikov et al. 2022, NAS-Bench-NLP: https://arxiv.org/abs/2006.07116, section 3.

        Raises `InvalidCell` for an unknown operation, a wrong number of inputs, an input that
        does not exist, a cycle, a node that no state needs, or a cell that never reads x.
        """
        states = _count_states(recipe)
        for name, node in recipe.items():
            _check_node(name, node, recipe, states)
        order = _computing_order(recipe)
        numbers = {"x": 0, **{f"h_prev_{i}": i + 1 for i in range(states)}}
        numbers |= {name: states + 1 + k for k, name in enumerate(order)}
        cell = cls(
            nodes=tuple(
                Node(
                    recipe[name]["op"],
                    tuple(numbers[i] for i in recipe[name]["input"]),
                    recipe[name].get("value"),
                )
                for name in order
            ),
            outputs=tuple(numbers[f"h_new_{i}"] for i in range(states)),
        )
        needed = cell.needed()
        unused = [name for name in order if numbers[name] not in needed]
        if unused:
            raise InvalidCell(f'node "{unused[0]}" feeds no new state: remove it or read it')
        if 0 not in needed:
            raise InvalidCell("the cell never reads its input x: connect x to a linear node")
        return cell

    def to_recipe(self) -> dict[str, dict[str, Any]]:
        """The recipe of this cell, with nodes called `node_k` and `h_new_i`."""
        names = self.value_names()
        recipe: dict[str, dict[str, Any]] = {}
        for k, node in enumerate(self.nodes):
            written = {"op": node.op, "input": [names[i] for i in node.inputs]}
            number = {} if node.value is None else {"value": node.value}
            recipe[names[self.states + 1 + k]] = written | number
        return recipe

    def value_names(self) -> list[str]:
        """The recipe's name of every value: x, the previous states, the nodes."""
        names = ["x", *(f"h_prev_{i}" for i in range(self.states))]
        names += [f"node_{k}" for k in range(len(self.nodes))]
        for i, value in enumerate(self.outputs):
            names[value] = f"h_new_{i}"
        return names

    def needed(self) -> frozenset[int]:
        """The values from which the new states are computed, leaves included."""
        seen: set[int] = set()
        waiting = list(self.outputs)
        while waiting:
            value = waiting.pop()
            if value not in seen:
                seen.add(value)
                if value > self.states:
                    waiting.extend(self.nodes[value - self.states - 1].inputs)
        return frozenset(seen)

    def canonical(self) -> "CellSpec":
        """The same cell with its nodes in an order that all isomorphic cells share."""
        first = self.states + 1
        labels = [f"leaf {i}" for i in range(first)]
        for k, node in enumerate(self.nodes):
            roles = [i for i, output in enumerate(self.outputs) if output == first + k]
            labels.append(
                f"{node.op} {roles}" + (f" {node.value}" if node.value is not None else "")
            )
        inputs: list[tuple[int, ...]] = [()] * first + [node.inputs for node in self.nodes]
        ordered = [True] * first + [OPERATIONS[node.op].ordered for node in self.nodes]
        order = canonical_order(labels, inputs, ordered)
        new = {old: position for position, old in enumerate(order)}

        def renumbered(node: Node) -> Node:
            numbers = tuple(new[i] for i in node.inputs)
            inputs = numbers if OPERATIONS[node.op].ordered else tuple(sorted(numbers))
            return Node(node.op, inputs, node.value)

        return CellSpec(
            nodes=tuple(renumbered(self.nodes[old - first]) for old in order[first:]),
            outputs=tuple(new[i] for i in self.outputs),
        )

    def parameters(self, input_size: int, hidden_size: int) -> int:
        """How many weights and biases the cell has, with one head."""
        columns = self._columns(input_size, hidden_size)
        vectors = sum(node.op in ("linear", "diagonal") for node in self.nodes)
        return hidden_size * (columns + vectors)

    def flops(self, input_size: int, hidden_size: int) -> int:
        """Floating-point operations of one step for one sequence, with one head.

        A multiplication and an addition count as two; an activation counts as one per unit.
        """
        pointwise = 0
        for node in self.nodes:
            if node.op != "linear":
                flops = OPERATIONS[node.op].flops
                pointwise += len(node.inputs) - 1 if flops is None else flops
        return hidden_size * (2 * self._columns(input_size, hidden_size) + pointwise)

    def _columns(self, input_size: int, hidden_size: int) -> int:
        """Columns of all matrices side by side."""
        linears = (node for node in self.nodes if node.op == "linear")
        return sum(
            input_size if source == 0 else hidden_size for node in linears for source in node.inputs
        )


def _count_states(recipe: Mapping[str, Any]) -> int:
    indices = sorted(i for name in recipe if (i := _index(name, "h_new_")) is not None)
    if not indices:
        raise InvalidCell('no new state: call the output node "h_new_0"')
    if indices != list(range(len(indices))):
        missing = next(i for i in range(len(indices)) if i not in indices)
        raise InvalidCell(f'"h_new_{missing}" is missing: new states are numbered from 0')
    return len(indices)


def _index(name: str, prefix: str) -> int | None:
    rest = name.removeprefix(prefix)
    return int(rest) if rest != name and rest.isdigit() else None


def _check_node(name: str, node: Any, recipe: Mapping[str, Any], states: int) -> None:
    if not isinstance(node, Mapping) or not isinstance(node.get("input"), Sequence):
        raise InvalidCell(f'node "{name}" must be {{"op": …, "input": […]}}')
    if name == "x" or _index(name, "h_prev_") is not None:
        raise InvalidCell(f'"{name}" is an input of the cell and cannot be a node: rename it')
    op = node.get("op")
    if op not in OPERATIONS:
        raise InvalidCell(
            f'node "{name}": unknown operation "{op}"; there are {", ".join(OPERATIONS)}'
        )
    fewest, most = OPERATIONS[op].fewest, OPERATIONS[op].most
    if not fewest <= len(node["input"]) <= most:
        wanted = str(fewest) if fewest == most else f"{fewest} or more"
        raise InvalidCell(f'node "{name}": {op} takes {wanted} inputs, not {len(node["input"])}')
    number = node.get("value")
    numeric = isinstance(number, int | float) and math.isfinite(number)
    if numeric != (op == "constant") or (number is not None and not numeric):
        raise InvalidCell(f'node "{name}": a constant has a number as "value", nothing else has')
    for source in node["input"]:
        state = _index(str(source), "h_prev_")
        if state is not None and state >= states:
            raise InvalidCell(
                f'node "{name}" reads "{source}", but there is no "h_new_{state}" to feed it'
            )
        if state is None and source != "x" and source not in recipe:
            raise InvalidCell(f'node "{name}" reads "{source}", which is not in the recipe')
        if source == "x" and op != "linear":
            raise InvalidCell(f'node "{name}": {op} cannot read x, only a linear node can')


def _computing_order(recipe: Mapping[str, Any]) -> list[str]:
    """The nodes in an order in which each comes after those it reads; ties as written."""
    order: list[str] = []
    done: set[str] = set()
    while len(order) < len(recipe):
        ready = [
            name
            for name, node in recipe.items()
            if name not in done and all(i in done or i not in recipe for i in node["input"])
        ]
        if not ready:
            stuck = sorted(set(recipe) - done)
            raise InvalidCell(f'the recipe is cyclic: node "{stuck[0]}" needs its own result')
        order += ready
        done |= set(ready)
    return order
