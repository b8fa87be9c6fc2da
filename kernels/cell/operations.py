"""The operations of a cell: their values and derivatives, shared by all emitters.

Values and derivatives are expressions that C, Triton and PyTorch can all read: `+ - * / & |`,
comparisons, numbers, and the functions `tanh`, `sigmoid`, `exp`, `log`, `sqrt`, `softplus`,
`normal_cdf`, `minimum`, `maximum`, `where(condition, then, else)` and `full(number)`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reduction:
    """An operation for which a unit needs all units of its head.

    Expressions read the input `{a}`, the result `{y}`, its gradient `{g}`, and the statistics
    before them, `{m0}`, `{m1}`, ….

    statistics: pairs of "sum", "mean" or "largest" and the expression of each unit.
    value: the result of a unit.
    back_statistics, gradient: the same for the gradient of the input.
    """

    statistics: tuple[tuple[str, str], ...]
    value: str
    back_statistics: tuple[tuple[str, str], ...]
    gradient: str


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
    reduction: how units are combined; None if each unit is computed on its own.
    """

    fewest: int
    most: int
    ordered: bool
    value: Callable[[Sequence[str], float | None], str] | None = None
    gradients: Callable[[Sequence[str], str, str], list[str]] | None = None
    flops: int | None = None
    reduction: Reduction | None = None


def crosses_units(op: str) -> bool:
    """Return whether a unit's result depends on other units."""
    return op == "linear" or OPERATIONS[op].reduction is not None


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


def _quotient_gradients(inputs: Sequence[str], y: str, g: str) -> list[str]:
    return [f"{g} / {inputs[1]}", f"-{g} * {y} / {inputs[1]}"]


def _clamp_gradients(inputs: Sequence[str], y: str, g: str) -> list[str]:
    a, low, high = inputs
    return [
        f"where(({a} >= {low}) & ({a} <= {high}), {g}, 0)",
        f"where(({low} < {high}) & ({a} < {low}), {g}, 0)",
        f"where(({high} < {low}) | ({a} > {high}), {g}, 0)",
    ]


_MEAN = Reduction((("mean", "{a}"),), "{m0}", (("mean", "{g}"),), "{m0}")
_SPREAD = (("mean", "{a}"), ("mean", "({a} - {m0}) * ({a} - {m0})"))
_LAYER_NORM = Reduction(
    _SPREAD,
    "({a} - {m0}) / sqrt({m1} + 1e-5)",
    (*_SPREAD, ("mean", "{g}"), ("mean", "{g} * {y}")),
    "({g} - {m2} - {y} * {m3}) / sqrt({m1} + 1e-5)",
)
_RMS_NORM = Reduction(
    (("mean", "{a} * {a}"),),
    "{a} / sqrt({m0} + 1e-5)",
    (("mean", "{a} * {a}"), ("mean", "{g} * {y}")),
    "({g} - {y} * {m1}) / sqrt({m0} + 1e-5)",
)
_SOFTMAX = Reduction(
    (("largest", "{a}"), ("sum", "exp({a} - {m0})")),
    "exp({a} - {m0}) / {m1}",
    (("sum", "{g} * {y}"),),
    "{y} * ({g} - {m0})",
)


OPERATIONS: dict[str, Operation] = {
    # with weights: linear has a bias and a matrix per input; diagonal has a vector, which
    # multiplies its input if it has one
    "linear": Operation(1, 64, False),
    "diagonal": Operation(0, 1, True, flops=1),
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
    "activation_softplus": _unary("softplus({a})", "{g} * sigmoid({a})"),
    "activation_silu": _unary(
        "{a} * sigmoid({a})", "{g} * sigmoid({a}) * (1 + {a} * (1 - sigmoid({a})))"
    ),
    "activation_gelu": _unary(
        "{a} * normal_cdf({a})",
        "{g} * (normal_cdf({a}) + {a} * 0.3989422804014327 * exp(-0.5 * {a} * {a}))",
    ),
    "exp": _unary("exp({a})", "{g} * {y}"),
    "log": _unary("log({a})", "{g} / {a}"),
    "sqrt": _unary("sqrt({a})", "0.5 * {g} / {y}"),
    "reciprocal": _unary("1 / {a}", "-{g} * {y} * {y}"),
    "elementwise_sub": Operation(
        2, 2, True, lambda i, _: f"{i[0]} - {i[1]}", lambda i, y, g: [g, f"-{g}"]
    ),
    "elementwise_div": Operation(2, 2, True, lambda i, _: f"{i[0]} / {i[1]}", _quotient_gradients),
    "clamp": Operation(
        3,
        3,
        True,
        lambda i, _: f"minimum(maximum({i[0]}, {i[1]}), {i[2]})",
        _clamp_gradients,
        flops=2,
    ),
    # over the units of a head; norms add 1e-5 to the variance, as PyTorch's LayerNorm
    "mean": Operation(1, 1, True, flops=1, reduction=_MEAN),
    "layer_norm": Operation(1, 1, True, flops=6, reduction=_LAYER_NORM),
    "rms_norm": Operation(1, 1, True, flops=4, reduction=_RMS_NORM),
    "softmax": Operation(1, 1, True, flops=4, reduction=_SOFTMAX),
    "identity": Operation(1, 1, True, lambda i, _: i[0], lambda i, y, g: [g], flops=0),
    "one_minus": _unary("1 - {a}", "-{g}"),
    "constant": Operation(
        0, 0, True, lambda _, number: f"full({number})", lambda i, y, g: [], flops=0
    ),
}
