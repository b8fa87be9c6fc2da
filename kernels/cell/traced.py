"""Cells written as Python functions, which are traced once.

>>> def mgu(x, h):
...     forget = sigmoid(linear(x, h))
...     return blend(forget, tanh(linear(x, forget * h)), h)
>>> cell = cell_from(mgu)
>>> cell.states, [node.op for node in cell.nodes][:2]
(1, ['linear', 'activation_sigm'])
"""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from kernels.cell.spec import CellSpec, InvalidCell

Recipe = dict[str, dict[str, Any]]


class Value:
    """A value of a cell that is being traced: x, a previous state, or the result of an operation.

    `+ - * /` with values and numbers are operations of the cell.
    """

    def __init__(self, name: str, recipe: Recipe) -> None:
        self.name, self.recipe = name, recipe

    def __add__(self, other: "Value | float") -> "Value":
        return _node("elementwise_sum", self, other)

    def __mul__(self, other: "Value | float") -> "Value":
        return _node("elementwise_prod", self, other)

    def __sub__(self, other: "Value | float") -> "Value":
        return _node("elementwise_sub", self, other)

    def __truediv__(self, other: "Value | float") -> "Value":
        return _node("elementwise_div", self, other)

    def __rsub__(self, other: float) -> "Value":
        if other == 1:
            return _node("one_minus", self)
        return _node("elementwise_sub", self._number(other), self)

    def __rtruediv__(self, other: float) -> "Value":
        if other == 1:
            return _node("reciprocal", self)
        return _node("elementwise_div", self._number(other), self)

    def __neg__(self) -> "Value":
        return self * -1.0

    __radd__, __rmul__ = __add__, __mul__

    def __bool__(self) -> bool:
        raise InvalidCell("a cell cannot branch on a value: use maximum, clamp or blend")

    def _number(self, number: float) -> "Value":
        return _added(self.recipe, {"op": "constant", "input": [], "value": float(number)})


def _node(op: str, *inputs: "Value | float") -> Value:
    """Add an operation to the cell that its inputs belong to; numbers become constants."""
    known = next((value for value in inputs if isinstance(value, Value)), None)
    if known is None:
        raise InvalidCell(f"{op} needs a value of the cell, not {inputs}")
    values = [v if isinstance(v, Value) else known._number(v) for v in inputs]
    return _added(known.recipe, {"op": op, "input": [value.name for value in values]})


def _added(recipe: Recipe, node: dict[str, Any]) -> Value:
    name = f"node_{len(recipe)}"
    recipe[name] = node
    return Value(name, recipe)


def _operation(op: str) -> Callable[..., Value]:
    def operation(*inputs: Value | float) -> Value:
        return _node(op, *inputs)

    operation.__doc__ = f"Add the operation `{op}`, see `kernels.cell.operations`."
    return operation


linear = _operation("linear")  # a matrix for each input and a bias
diagonal = _operation("diagonal")  # a weight per unit, times the input
blend = _operation("blend")  # a * b + (1 - a) * c
maximum = _operation("elementwise_max")
clamp = _operation("clamp")
tanh, sigmoid, relu, leaky_relu, hard_sigmoid, softplus, silu, gelu = (
    _operation(f"activation_{name}")
    for name in ("tanh", "sigm", "relu", "leaky_relu", "hard_sigm", "softplus", "silu", "gelu")
)
exp, log, sqrt, identity = (_operation(name) for name in ("exp", "log", "sqrt", "identity"))
mean, layer_norm, rms_norm, softmax = (  # over the units of a head
    _operation(name) for name in ("mean", "layer_norm", "rms_norm", "softmax")
)


def trained(like: Value) -> Value:
    """Return a trained vector, one weight per unit. like: any value of the same cell."""
    return _added(like.recipe, {"op": "diagonal", "input": []})


def recipe_from(function: Callable[..., Value | Sequence[Value]]) -> Recipe:
    """Return the recipe of a cell written as a function.

    function: takes x and the previous states, and returns the new states in the same order, the
        output first. It is called once, with values that record what is computed.
    Raises `InvalidCell` if the function does not describe a cell.
    """
    names = [p.name for p in inspect.signature(function).parameters.values()]
    recipe: Recipe = {}
    leaves = [Value("x" if i == 0 else f"h_prev_{i - 1}", recipe) for i in range(len(names))]
    found = function(*leaves)
    new = (found,) if isinstance(found, Value) else tuple(found)
    if len(new) != len(names) - 1 or not all(isinstance(value, Value) for value in new):
        raise InvalidCell(
            f"{function.__name__} must return {len(names) - 1} new states, one for each of "
            f"{', '.join(names[1:]) or 'its states'}"
        )
    renamed: dict[str, str] = {}
    for i, value in enumerate(new):
        if value.name in renamed or value.name not in recipe:  # one node for each new state
            value = identity(value)
        renamed[value.name] = f"h_new_{i}"
    return {
        renamed.get(name, name): {**node, "input": [renamed.get(i, i) for i in node["input"]]}
        for name, node in _without_unread(recipe, renamed).items()
    }


def cell_from(function: Callable[..., Value | Sequence[Value]]) -> CellSpec:
    """Return the cell that a function describes; see `recipe_from`."""
    return CellSpec.from_recipe(recipe_from(function))


def _without_unread(recipe: Recipe, outputs: dict[str, str]) -> Recipe:
    """Return the nodes that new states depend on."""
    needed, waiting = set(), list(outputs)
    while waiting:
        name = waiting.pop()
        if name in recipe and name not in needed:
            needed.add(name)
            waiting += recipe[name]["input"]
    return {name: node for name, node in recipe.items() if name in needed}
