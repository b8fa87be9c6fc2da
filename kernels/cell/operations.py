"""The operations of a cell: their values and derivatives, shared by all emitters.

Values and derivatives are expressions that C, Triton and PyTorch can all read: `+ - *`,
comparisons, numbers, and the functions `tanh`, `sigmoid`, `minimum`, `maximum`,
`where(condition, then, else)` and `full(number)`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation.

    fewest, most: how many inputs it takes.
    ordered: whether the order of the inputs matters.
    value: maps the names of the inputs (and the constant) to the result's expression; None if the
        operation needs weights.
    gradients: maps the names of the inputs, the result and its gradient to an expression for each
        input's gradient.
    flops: per unit, without matrix products; None for one less than the number of inputs.
    """

    fewest: int
    most: int
    ordered: bool
    value: Callable[[Sequence[str], float | None], str] | None = None
    gradients: Callable[[Sequence[str], str, str], list[str]] | None = None
    flops: int | None = None


def _unary(value: str, gradient: str) -> Operation:
    """Return an operation on `a` with result `y`, whose gradient is `g`."""
    return Operation(
        1,
        1,
        True,
        lambda inputs, _: value.format(a=inputs[0]),
        lambda inputs, y, g: [gradient.format(a=inputs[0], y=y, g=g)],
        flops=1,
    )


def _others(inputs: Sequence[str], y: str, g: str) -> list[str]:
    """Return a product's derivatives: each is the product of the other factors."""
    return [
        " * ".join([g, *(name for j, name in enumerate(inputs) if j != i)])
        for i in range(len(inputs))
    ]


def _blend_gradients(inputs: Sequence[str], y: str, g: str) -> list[str]:
    a, b, c = inputs
    return [f"{g} * ({b} - {c})", f"{g} * {a}", f"{g} * (1 - {a})"]


def _max_gradients(inputs: Sequence[str], y: str, g: str) -> list[str]:
    """Return a maximum's derivatives; if both inputs are equal, each gets half, as in PyTorch."""
    a, b = inputs
    return [
        f"where({one} > {other}, {g}, where({one} == {other}, 0.5 * {g}, 0))"
        for one, other in ((a, b), (b, a))
    ]


OPERATIONS: dict[str, Operation] = {
    # with weights: linear has a bias and a matrix per input, the other a vector for its input
    "linear": Operation(1, 64, False),
    "diagonal": Operation(1, 1, True, flops=1),
    # without weights
    "blend": Operation(
        3,
        3,
        True,
        lambda inputs, _: "{0} * {1} + (1 - {0}) * {2}".format(*inputs),
        _blend_gradients,
        flops=4,
    ),
    "elementwise_prod": Operation(2, 64, False, lambda i, _: " * ".join(i), _others),
    "elementwise_sum": Operation(
        2, 64, False, lambda i, _: " + ".join(i), lambda i, y, g: [g] * len(i)
    ),
    "elementwise_max": Operation(
        2, 2, False, lambda i, _: f"maximum({', '.join(i)})", _max_gradients
    ),
    "activation_tanh": _unary("tanh({a})", "{g} * (1 - {y} * {y})"),
    "activation_sigm": _unary("sigmoid({a})", "{g} * {y} * (1 - {y})"),
    "activation_leaky_relu": _unary(
        "where({a} > 0, {a}, 0.01 * {a})", "where({y} > 0, {g}, 0.01 * {g})"
    ),
    "activation_relu": _unary("where({a} < 0, 0, {a})", "where({y} > 0, {g}, 0)"),
    "activation_hard_sigm": _unary(
        "minimum(maximum({a} / 6 + 0.5, 0), 1)", "where({y} * (1 - {y}) > 0, {g} / 6, 0)"
    ),
    "identity": Operation(1, 1, True, lambda i, _: i[0], lambda i, y, g: [g], flops=0),
    "one_minus": _unary("1 - {a}", "-{g}"),
    "constant": Operation(
        0, 0, True, lambda _, number: f"full({number})", lambda i, y, g: [], flops=0
    ),
}
