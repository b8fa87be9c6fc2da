"""The known cells compute the equations of their papers (LSTM and Elman: see test_layer.py)."""

import pytest
import torch
from torch import Tensor, sigmoid, tanh
from torch.nn import functional

from kernels.cell.layer import CompiledRNN
from kernels.cell.spec import CellSpec
from kernels.cell.weights import layout_of
from kernels.cell.zoo import ZOO

States = tuple[Tensor, ...]


def gru(linear: "Linear", x: Tensor, h: Tensor) -> tuple[Tensor]:
    reset, update = sigmoid(linear(0, x, h)), sigmoid(linear(1, x, h))
    return (update * h + (1 - update) * tanh(linear(2, x, reset * h)),)


def mgu(linear: "Linear", x: Tensor, h: Tensor) -> tuple[Tensor]:
    forget = sigmoid(linear(0, x, h))
    return ((1 - forget) * h + forget * tanh(linear(1, x, forget * h)),)


def ugrnn(linear: "Linear", x: Tensor, h: Tensor) -> tuple[Tensor]:
    update = sigmoid(linear(0, x, h))
    return (update * h + (1 - update) * tanh(linear(1, x, h)),)


def rhn(linear: "Linear", x: Tensor, h: Tensor) -> tuple[Tensor]:
    transform = sigmoid(linear(0, x, h))
    middle = tanh(linear(1, x, h)) * transform + h * (1 - transform)
    transform = sigmoid(linear(2, middle))
    return (tanh(linear(3, middle)) * transform + middle * (1 - transform),)


def coupled_lstm(linear: "Linear", x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    forget, output = sigmoid(linear(0, x, h)), sigmoid(linear(1, x, h))
    new = forget * c + (1 - forget) * tanh(linear(2, x, h))
    return output * tanh(new), new


def slstm(linear: "Linear", x: Tensor, h: Tensor, c: Tensor, n: Tensor, m: Tensor) -> States:
    """Beck et al. 2024, eq. 8 to 17."""
    add, forget, z, o = (linear(k, x, h) for k in range(4))
    log_forget = functional.logsigmoid(forget)
    new_m = torch.maximum(log_forget + m, add)
    i, f = torch.exp(add - new_m), torch.exp(log_forget + m - new_m)
    c, n = f * c + i * tanh(z), f * n + i
    return sigmoid(o) * c / n, c, n, new_m


def norm(vector: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
    """Ba et al. 2016, eq. 15 to 19; gains are 1 + the trained weight."""
    return functional.layer_norm(vector, vector.shape[1:], 1 + gain, bias)


def layer_norm_lstm(linear: "Linear", x: Tensor, h: Tensor, c: Tensor) -> States:
    gain, bias = linear.diagonal[0::2], linear.diagonal[1::2]
    on_h = torch.cat([linear(k, h) for k in range(4)], dim=1)
    on_x = torch.cat([linear(k, x) for k in range(4, 8)], dim=1)
    gates = norm(on_h, gain[:4].flatten(), bias[:4].flatten())
    gates = gates + norm(on_x, gain[4:8].flatten(), bias[4:8].flatten())
    f, i, o, g = gates.chunk(4, dim=1)
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    return sigmoid(o) * tanh(norm(c, gain[8], bias[8])), c


def layer_norm_gru(linear: "Linear", x: Tensor, h: Tensor) -> States:
    gain, bias = linear.diagonal[0::2], linear.diagonal[1::2]
    on_h = torch.cat([linear(k, h) for k in range(2)], dim=1)
    on_x = torch.cat([linear(k, x) for k in range(2, 4)], dim=1)
    gates = norm(on_h, gain[:2].flatten(), bias[:2].flatten())
    gates = gates + norm(on_x, gain[2:4].flatten(), bias[2:4].flatten())
    z, r = sigmoid(gates).chunk(2, dim=1)
    new = norm(linear(4, x), gain[4], bias[4]) + r * norm(linear(5, h), gain[5], bias[5])
    return (z * tanh(new) + (1 - z) * h,)


def peephole_lstm(linear: "Linear", x: Tensor, h: Tensor, c: Tensor) -> States:
    to_i, to_f, to_o = linear.diagonal
    i, f = sigmoid(linear(0, x, h) + to_i * c), sigmoid(linear(1, x, h) + to_f * c)
    c = f * c + i * tanh(linear(2, x, h))
    return sigmoid(linear(3, x, h) + to_o * c) * tanh(c), c


def janet(linear: "Linear", x: Tensor, h: Tensor) -> States:
    s = linear(0, x, h)
    return (sigmoid(s) * h + (1 - sigmoid(s - 1)) * tanh(linear(1, x, h)),)


def leaky(linear: "Linear", x: Tensor, h: Tensor) -> States:
    tau = 1 / sigmoid(linear.diagonal[0])
    return (functional.leaky_relu((1 - 1 / tau) * h + linear(0, x, h) / tau, 0.1),)


def sru(linear: "Linear", x: Tensor, h: Tensor, c: Tensor) -> States:
    f = sigmoid(linear(0, x) + linear.diagonal[0] * c)
    r = sigmoid(linear(2, x) + linear.diagonal[1] * c)
    c = f * c + (1 - f) * linear(1, x)
    return r * c + (1 - r) * linear(3, x), c


def qrnn(linear: "Linear", x: Tensor, h: Tensor, c: Tensor, *before: Tensor) -> States:
    """The convolution of the last x is `before`."""
    f = sigmoid(before[1] + linear(0, x))
    c = f * c + (1 - f) * tanh(before[0] + linear(1, x))
    o = sigmoid(before[2] + linear(2, x))
    return o * c, c, linear(3, x), linear(4, x), linear(5, x)


def indrnn(linear: "Linear", x: Tensor, h: Tensor) -> States:
    return (torch.relu(linear(0, x) + linear.diagonal[0] * h),)


def min_gru(linear: "Linear", x: Tensor, h: Tensor) -> States:
    z = sigmoid(linear(0, x))
    return ((1 - z) * h + z * linear(1, x),)


def nas_cell(linear: "Linear", x: Tensor, h: Tensor, c: Tensor) -> States:
    i, m = [linear(k, x) for k in range(8)], [linear(k, h) for k in range(8, 16)]
    kinds = (sigmoid, torch.relu, sigmoid, None, tanh, sigmoid, tanh, sigmoid)
    a = [torch.relu(i[k] * m[k]) if not f else f(i[k] + m[k]) for k, f in enumerate(kinds)]
    b = [tanh(a[0] * a[1]), tanh(a[2] + a[3]), tanh(a[4] * a[5]), sigmoid(a[6] + a[7])]
    c = tanh(b[0] + c) * b[1]
    return tanh(c * tanh(b[2] + b[3])), c


EQUATIONS = {
    "gru": gru,
    "mgu": mgu,
    "ugrnn": ugrnn,
    "rhn": rhn,
    "coupled-lstm": coupled_lstm,
    "slstm": slstm,
    "layer-norm-lstm": layer_norm_lstm,
    "layer-norm-gru": layer_norm_gru,
    "peephole-lstm": peephole_lstm,
    "janet": janet,
    "leaky": leaky,
    "sru": sru,
    "qrnn": qrnn,
    "indrnn": indrnn,
    "min-gru": min_gru,
    "nas-cell": nas_cell,
}


class Linear:
    """The linear nodes of a layer by their number, and its vectors of weights."""

    def __init__(self, rnn: CompiledRNN) -> None:
        cell = rnn.cell
        nodes = enumerate(cell.nodes, start=cell.states + 1)
        self.inputs = {value: node.inputs for value, node in nodes if node.op == "linear"}
        self.weights, self.layout = rnn.weights(), layout_of(cell)
        self.diagonal = self.weights.diagonal

    def __call__(self, number: int, *read: Tensor) -> Tensor:
        row = self.layout.linears.index([*self.inputs][number])
        matrices = [self.weights.on_x[row]] if 0 in self.inputs[self.layout.linears[row]] else []
        matrices += [
            torch.block_diag(*matrix)
            for matrix, (_, to) in zip(self.weights.on_h, self.layout.connections, strict=True)
            if to == row
        ]
        total = self.weights.bias[row]
        for value, matrix in zip(read, matrices, strict=True):
            total = total + value @ matrix.T
        return total


@pytest.mark.parametrize("backend", ["reference", "cpu"])
@pytest.mark.parametrize("name", EQUATIONS)
def test_a_cell_of_the_zoo_computes_its_equations(name: str, backend: str) -> None:
    generator = torch.Generator().manual_seed(0)
    cell, heads = CellSpec.from_recipe(ZOO[name]), 2 if name == "slstm" else 1
    rnn = CompiledRNN(cell, 3, 4, heads, backend=backend, generator=generator).double()
    x, *state = (
        torch.randn(shape, generator=generator, dtype=torch.float64)
        for shape in [(2, 5, 3), *[(2, 4)] * cell.states]
    )
    if name == "slstm":
        state[2] = state[2].abs()
    outputs, last = rnn(x, state)
    for t in range(5):
        state = EQUATIONS[name](Linear(rnn), x[:, t], *state)
        torch.testing.assert_close(outputs[:, t], state[0], rtol=0, atol=1e-12)
    torch.testing.assert_close(last, tuple(state), rtol=0, atol=1e-12)


def test_every_cell_of_the_zoo_is_tested_somewhere() -> None:
    in_test_layer = {"lstm", "rnn-tanh", "rnn-relu", "rnn-leaky-relu"}
    assert set(EQUATIONS) == set(ZOO) - in_test_layer


def test_no_two_cells_of_the_zoo_are_the_same() -> None:
    cells = {CellSpec.from_recipe(recipe).canonical() for recipe in ZOO.values()}
    assert len(cells) == len(ZOO)
