"""Recurrent cells of papers, written as functions of x and the previous states.

The first new state is the output. Linear operations have biases, also where a paper has none.
"""

from collections.abc import Sequence

from kernels.cell.traced import (
    Value,
    blend,
    diagonal,
    exp,
    layer_norm,
    linear,
    maximum,
    mean,
    relu,
    sigmoid,
    softplus,
    sqrt,
    tanh,
    trained,
)

States = tuple[Value, ...]


def slstm(x: Value, h: Value, c: Value, n: Value, m: Value) -> States:
    """Exponential input gates, a normaliser n and a stabiliser m; heads are block-diagonal.

    Beck et al. 2024, xLSTM, https://arxiv.org/abs/2405.04517, eq. 8 to 17, with a sigmoid forget
    gate.
    """
    add, forget, new, output = (linear(x, h) for _ in range(4))
    kept = m - softplus(-forget)  # log σ(a) = -softplus(-a)
    largest = maximum(kept, add)
    keep, add = exp(kept - largest), exp(add - largest)
    cell, count = keep * c + add * tanh(new), keep * n + add
    return sigmoid(output) * (cell / count), cell, count, largest


def layer_norm_lstm(x: Value, h: Value, c: Value) -> States:
    """Ba et al. 2016, https://arxiv.org/abs/1607.06450, eq. 20 to 22."""
    on_h, on_x = (_normalised([linear(read) for _ in range(4)]) for read in (h, x))
    forget, add, output, new = (a + b for a, b in zip(on_h, on_x, strict=True))
    cell = sigmoid(forget) * c + sigmoid(add) * tanh(new)
    return sigmoid(output) * tanh(_scaled(layer_norm(cell))), cell


def layer_norm_gru(x: Value, h: Value) -> Value:
    """Ba et al. 2016, https://arxiv.org/abs/1607.06450, eq. 26 to 28 of the appendix."""
    on_h, on_x = (_normalised([linear(read) for _ in range(2)]) for read in (h, x))
    update, reset = (sigmoid(a + b) for a, b in zip(on_h, on_x, strict=True))
    new = _scaled(layer_norm(linear(x))) + reset * _scaled(layer_norm(linear(h)))
    return blend(update, tanh(new), h)


def _normalised(values: Sequence[Value]) -> list[Value]:
    """Normalise several vectors together, as if they were one."""
    share = 1 / len(values)
    centre = sum((mean(v) for v in values[1:]), start=mean(values[0])) * share
    apart = [v - centre for v in values]
    squares = sum((mean(v * v) for v in apart[1:]), start=mean(apart[0] * apart[0]))
    spread = sqrt(squares * share + 1e-5)
    return [_scaled(v / spread) for v in apart]


def _scaled(v: Value) -> Value:
    """Return v with a trained gain, which begins near 1, and a trained bias."""
    return v * (1 + trained(v)) + trained(v)


def peephole_lstm(x: Value, h: Value, c: Value) -> States:
    """Gers and Schmidhuber 2000; Graves 2013, https://arxiv.org/abs/1308.0850, eq. 7 to 11."""
    add = sigmoid(linear(x, h) + diagonal(c))
    forget = sigmoid(linear(x, h) + diagonal(c))
    cell = forget * c + add * tanh(linear(x, h))
    return sigmoid(linear(x, h) + diagonal(cell)) * tanh(cell), cell


def janet(x: Value, h: Value) -> Value:
    """Van der Westhuizen and Lasenby 2018, https://arxiv.org/abs/1804.04849, section 3, β = 1."""
    forget = linear(x, h)
    return sigmoid(forget) * h + (1 - sigmoid(forget - 1.0)) * tanh(linear(x, h))


def leaky(x: Value, h: Value) -> Value:
    """Leaky units with trained time constants, 1/τ = σ(w), so that τ > 1.

    Khajehabdollahi et al. 2024, https://arxiv.org/abs/2309.12927, eq. 1.
    """
    mixed = blend(sigmoid(trained(h)), linear(x, h), h)
    return maximum(mixed, mixed * 0.1)


def sru(x: Value, h: Value, c: Value) -> States:
    """Lei et al. 2018, https://arxiv.org/abs/1709.02755, eq. 1 to 4; x is read by a matrix."""
    forget = sigmoid(linear(x) + diagonal(c))
    cell = blend(forget, c, linear(x))
    reset = sigmoid(linear(x) + diagonal(c))
    return blend(reset, cell, linear(x)), cell


def qrnn(x: Value, h: Value, c: Value, new: Value, forget: Value, output: Value) -> States:
    """Bradbury et al. 2017, https://arxiv.org/abs/1611.01576, eq. 3 and 5: windows of two steps.

    The last three states are the part of the next step's window that reads this x.
    """
    kept = sigmoid(forget + linear(x))
    cell = blend(kept, c, tanh(new + linear(x)))
    return sigmoid(output + linear(x)) * cell, cell, linear(x), linear(x), linear(x)


def indrnn(x: Value, h: Value) -> Value:
    """Li et al. 2018, https://arxiv.org/abs/1803.04831, eq. 2."""
    return relu(linear(x) + diagonal(h))


def min_gru(x: Value, h: Value) -> Value:
    """Feng et al. 2024, https://arxiv.org/abs/2410.01201, section 3.1: gates read x only."""
    return blend(sigmoid(linear(x)), linear(x), h)


def nas_cell(x: Value, h: Value, c: Value) -> States:
    """Zoph and Le 2017, https://arxiv.org/abs/1611.01578, figure 8, as in TensorFlow's NASCell."""
    on_x, on_h = ([linear(read) for _ in range(8)] for read in (x, h))
    a = [p + q for p, q in zip(on_x, on_h, strict=True)]
    first = tanh(sigmoid(a[0]) * relu(a[1]))
    second = tanh(sigmoid(a[2]) + relu(on_x[3] * on_h[3]))
    third = tanh(tanh(a[4]) * sigmoid(a[5]))
    fourth = sigmoid(tanh(a[6]) + sigmoid(a[7]))
    cell = tanh(first + c) * second
    return tanh(cell * tanh(third + fourth)), cell
