"""The known cells compute the equations of their papers (LSTM and Elman: see test_layer.py)."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, sigmoid, tanh

from kernels.cell.layer import CompiledRNN
from kernels.cell.spec import CellSpec
from kernels.cell.weights import layout_of
from kernels.cell.zoo import ZOO
from search_spaces.rnn_cell.recipe import read_recipe

Linear = Callable[..., Tensor]  # takes the number of the linear node, and its inputs


def gru(linear: Linear, x: Tensor, h: Tensor) -> tuple[Tensor]:
    reset, update = sigmoid(linear(0, x, h)), sigmoid(linear(1, x, h))
    return (update * h + (1 - update) * tanh(linear(2, x, reset * h)),)


def mgu(linear: Linear, x: Tensor, h: Tensor) -> tuple[Tensor]:
    forget = sigmoid(linear(0, x, h))
    return ((1 - forget) * h + forget * tanh(linear(1, x, forget * h)),)


def ugrnn(linear: Linear, x: Tensor, h: Tensor) -> tuple[Tensor]:
    update = sigmoid(linear(0, x, h))
    return (update * h + (1 - update) * tanh(linear(1, x, h)),)


def rhn(linear: Linear, x: Tensor, h: Tensor) -> tuple[Tensor]:
    transform = sigmoid(linear(0, x, h))
    middle = tanh(linear(1, x, h)) * transform + h * (1 - transform)
    transform = sigmoid(linear(2, middle))
    return (tanh(linear(3, middle)) * transform + middle * (1 - transform),)


def coupled_lstm(linear: Linear, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    forget, output = sigmoid(linear(0, x, h)), sigmoid(linear(1, x, h))
    new = forget * c + (1 - forget) * tanh(linear(2, x, h))
    return output * tanh(new), new


EQUATIONS = {"gru": gru, "mgu": mgu, "ugrnn": ugrnn, "rhn": rhn, "coupled-lstm": coupled_lstm}


@pytest.mark.parametrize("name", EQUATIONS)
def test_a_cell_of_the_zoo_computes_its_equations(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    rnn = CompiledRNN(CellSpec.from_recipe(ZOO[name]), 3, 4, generator=generator).double()

    first = rnn.cell.states + 1
    linears = {first + k: n.inputs for k, n in enumerate(rnn.cell.nodes) if n.op == "linear"}
    weights, layout = rnn.weights(), layout_of(rnn.cell)

    def linear(number: int, *read: Tensor) -> Tensor:
        row = layout.linears.index([*linears][number])
        matrices = [weights.on_x[row]] if 0 in linears[layout.linears[row]] else []
        matrices += [
            matrix[0]
            for matrix, (_, to) in zip(weights.on_h, layout.connections, strict=True)
            if to == row
        ]
        total = weights.bias[row]
        for value, matrix in zip(read, matrices, strict=True):
            total = total + value @ matrix.T
        return total

    x, *state = (
        torch.randn(shape, generator=generator, dtype=torch.float64)
        for shape in [(2, 5, 3), *[(2, 4)] * rnn.cell.states]
    )
    outputs, last = rnn(x, state)
    for t in range(5):
        state = EQUATIONS[name](linear, x[:, t], *state)
        torch.testing.assert_close(outputs[:, t], state[0], rtol=0, atol=1e-12)
    torch.testing.assert_close(last, state, rtol=0, atol=1e-12)


def test_no_two_cells_of_the_zoo_are_the_same() -> None:
    assert len({read_recipe(recipe).digest() for recipe in ZOO.values()}) == len(ZOO)
