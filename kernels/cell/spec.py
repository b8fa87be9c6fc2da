"""Describes a recurrent cell as a small graph of operations, checked and comparable."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kernels.cell.canonical import canonical_order
from kernels.cell.operations import OPERATIONS


class InvalidCell(ValueError):
    """A recipe that does not describe a cell; the message names the node and the remedy."""


@dataclass(frozen=True, slots=True)
class Node:
    """One operation of a cell.

    op: a key of `OPERATIONS`.
    inputs: numbers of the values read; 0 is the input x, 1 … S are the previous states,
        S + 1 + k is the result of node k.
    value: the number of a constant.
    """

    op: str
    inputs: tuple[int, ...]
    value: float | None = None


@dataclass(frozen=True, slots=True)
class CellSpec:
    """A recurrent cell: nodes in an order in which they can be computed.

    nodes: the operations; a node reads only x, previous states and earlier nodes.
    outputs: for each of the S states, the number of the value that becomes it; the first state is
        the cell's output.
    """

    nodes: tuple[Node, ...]
    outputs: tuple[int, ...]

    @property
    def states(self) -> int:
        """The number of hidden states, S."""
        return len(self.outputs)

    @classmethod
    def from_recipe(cls, recipe: Mapping[str, Any]) -> "CellSpec":
        """Read a recipe of NAS-Bench-NLP: `{node: {"op": …, "input": […]}}`.

        Leaves are called `x` and `h_prev_i`, new states `h_new_i`.
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
            raise InvalidCell(f'no new state depends on node "{unused[0]}": remove it or read it')
        if 0 not in needed:
            raise InvalidCell("the cell never reads its input x: connect x to a linear node")
        return cell

    def to_recipe(self) -> dict[str, dict[str, Any]]:
        """Return the recipe of this cell, with nodes called `node_k` and `h_new_i`."""
        names = self.value_names()
        recipe: dict[str, dict[str, Any]] = {}
        for k, node in enumerate(self.nodes):
            written = {"op": node.op, "input": [names[i] for i in node.inputs]}
            number = {} if node.value is None else {"value": node.value}
            recipe[names[self.states + 1 + k]] = written | number
        return recipe

    def value_names(self) -> list[str]:
        """Return the recipe's name of every value: x, the previous states, the nodes."""
        names = ["x", *(f"h_prev_{i}" for i in range(self.states))]
        names += [f"node_{k}" for k in range(len(self.nodes))]
        for i, value in enumerate(self.outputs):
            names[value] = f"h_new_{i}"
        return names

    def needed(self) -> frozenset[int]:
        """Return the values that the new states depend on, including leaves."""
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
        """Return the same cell with its nodes in an order that all isomorphic cells share."""
        first = self.states + 1
        labels = [f"leaf {i}" for i in range(first)]
        for k, node in enumerate(self.nodes):
            roles = [i for i, output in enumerate(self.outputs) if output == first + k]
            labels.append(
                f"{node.op} {roles}" + (f" {node.value}" if node.value is not None else "")
            )
        # nodes without inputs are put behind the leaves, as if they read x
        inputs: list[tuple[int, ...]] = [()] * first + [node.inputs or (0,) for node in self.nodes]
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
        """Return how many weights and biases the cell has, with one head."""
        columns = self._columns(input_size, hidden_size)
        vectors = sum(node.op in ("linear", "diagonal") for node in self.nodes)
        return hidden_size * (columns + vectors)

    def flops(self, input_size: int, hidden_size: int) -> int:
        """Return the floating-point operations of one step of one sequence, with one head.

        A multiplication with an addition counts as two, an activation as one per unit.
        """
        pointwise = 0
        for node in self.nodes:
            if node.op != "linear":
                flops = OPERATIONS[node.op].flops
                pointwise += len(node.inputs) - 1 if flops is None else flops
        return hidden_size * (2 * self._columns(input_size, hidden_size) + pointwise)

    def _columns(self, input_size: int, hidden_size: int) -> int:
        """Return the total number of columns of all matrices."""
        linears = (node for node in self.nodes if node.op == "linear")
        return sum(
            input_size if source == 0 else hidden_size for node in linears for source in node.inputs
        )


def _count_states(recipe: Mapping[str, Any]) -> int:
    indices = sorted(i for name in recipe if (i := _index(name, "h_new_")) is not None)
    if not indices:
        raise InvalidCell('the recipe has no new state: call the output node "h_new_0"')
    if indices != list(range(len(indices))):
        missing = next(i for i in range(len(indices)) if i not in indices)
        raise InvalidCell(f'"h_new_{missing}" is missing: number new states from 0')
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
            f'node "{name}": unknown operation "{op}"; choose one of {", ".join(OPERATIONS)}'
        )
    fewest, most = OPERATIONS[op].fewest, OPERATIONS[op].most
    if not fewest <= len(node["input"]) <= most:
        wanted = str(fewest) if fewest == most else f"{fewest} or more"
        raise InvalidCell(f'node "{name}": {op} takes {wanted} inputs, not {len(node["input"])}')
    number = node.get("value")
    numeric = isinstance(number, int | float) and math.isfinite(number)
    if numeric != (op == "constant") or (number is not None and not numeric):
        raise InvalidCell(f'node "{name}": only a constant has a "value", which must be a number')
    for source in node["input"]:
        state = _index(str(source), "h_prev_")
        if state is not None and state >= states:
            raise InvalidCell(
                f'node "{name}" reads "{source}", but the recipe has no "h_new_{state}"'
            )
        if state is None and source != "x" and source not in recipe:
            raise InvalidCell(f'node "{name}" reads "{source}", which is not in the recipe')
        if source == "x" and op != "linear":
            raise InvalidCell(f'node "{name}": {op} cannot read x, only a linear node can')


def _computing_order(recipe: Mapping[str, Any]) -> list[str]:
    """Return the nodes so that each follows those it reads; ties keep the recipe's order."""
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
            raise InvalidCell(f'the recipe is cyclic: node "{stuck[0]}" depends on itself')
        order += ready
        done |= set(ready)
    return order
