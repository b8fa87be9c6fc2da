"""Cells written as functions are the cells that recipes describe."""

import pytest

from kernels.cell.spec import CellSpec, InvalidCell
from kernels.cell.traced import blend, cell_from, linear, maximum, sigmoid, tanh
from kernels.cell.zoo import ZOO


def lstm(x, h, c):
    add, forget, output = (sigmoid(linear(x, h)) for _ in range(3))
    cell = forget * c + add * tanh(linear(x, h))
    return output * tanh(cell), cell


def gru(x, h):
    reset, update = sigmoid(linear(x, h)), sigmoid(linear(x, h))
    return blend(update, h, tanh(linear(x, reset * h)))


@pytest.mark.parametrize("function", [lstm, gru])
def test_a_function_is_the_cell_of_its_recipe(function) -> None:
    expected = CellSpec.from_recipe(ZOO[function.__name__]).canonical()
    assert cell_from(function).canonical() == expected


def test_numbers_are_constants_and_differences_have_operations_of_their_own() -> None:
    cell = cell_from(lambda x, h: (1 - linear(x, h)) / 2 - maximum(h, 0.5) * (1 / h) + 3)
    ops = sorted(node.op for node in cell.nodes)
    assert ops.count("constant") == 3 and {"one_minus", "reciprocal", "elementwise_sub"} <= {*ops}


def test_what_no_state_needs_is_left_out_and_a_value_can_be_two_states() -> None:
    def cell(x, h, c):
        linear(x)
        new = tanh(linear(x, h, c))
        return new, new

    traced = cell_from(cell)
    assert [node.op for node in traced.nodes] == ["linear", "activation_tanh", "identity"]
    assert traced.outputs[0] != traced.outputs[1]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x, h: (h, h), "must return 1 new states"),
        (lambda x, h, c: linear(x, h), "one for each of h, c"),
        (lambda x, h: tanh(x), "cannot read x"),
        (lambda x, h: linear(x, h) if linear(x) else h, "cannot branch on a value"),
        (lambda x, h: tanh(0.5), "needs a value of the cell"),
        (lambda x, h: tanh(h), "never reads its input x"),
    ],
)
def test_what_is_no_cell_is_refused(function, message: str) -> None:
    with pytest.raises(InvalidCell, match=message):
        cell_from(function)
