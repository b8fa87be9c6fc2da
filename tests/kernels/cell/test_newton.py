"""Newton's method gives the states and the gradients of the loop over steps."""

from functools import partial

import pytest
import torch
from torch import Tensor

from kernels.cell.newton import newton_rnn, scan
from kernels.cell.op import compile_cell, warn_once
from kernels.cell.reference import reference_rnn
from kernels.cell.run import run_cell
from kernels.cell.spec import CellSpec
from kernels.cell.traced import Value, cell_from, diagonal, linear, sigmoid, tanh
from kernels.cell.weights import Weights
from kernels.cell.zoo import ZOO
from tests.kernels.cell.agreement import drawn, results


def diagonal_gru(x: Value, h: Value) -> Value:
    update, reset = sigmoid(linear(x) + diagonal(h)), sigmoid(linear(x) + diagonal(h))
    return update * h + (1 - update) * tanh(linear(x) + reset * diagonal(h))


def diagonal_lstm(x: Value, h: Value, c: Value) -> tuple[Value, Value]:
    add, forget = sigmoid(linear(x) + diagonal(h)), sigmoid(linear(x) + diagonal(h))
    cell = forget * c + add * tanh(linear(x) + diagonal(h))
    return sigmoid(linear(x) + diagonal(h)) * tanh(cell), cell


CELLS = {
    "gru": cell_from(diagonal_gru),
    "lstm": cell_from(diagonal_lstm),
    **{name: CellSpec.from_recipe(ZOO[name]) for name in ("sru", "qrnn", "min-gru")},
}
SIZES = (3, 4, 1, 2, 37)  # C, H, N, B, T


def loop(cell: CellSpec, x: Tensor, state: Tensor, weights: Weights) -> tuple[Tensor, Tensor]:
    outputs, last = reference_rnn(cell, x, state.unbind(), weights)
    return outputs, torch.stack(last)


def by_newton(cell: CellSpec, x: Tensor, state: Tensor, weights: Weights) -> tuple[Tensor, Tensor]:
    found = newton_rnn(cell, x, state.unbind(), weights)
    assert found.converged
    assert found.residual < 1e-13
    return found.states[0], torch.stack([part[:, -1] for part in found.states])


@pytest.mark.parametrize("name", CELLS)
def test_states_and_gradients_are_those_of_the_loop(name: str) -> None:
    given = drawn(CELLS[name], SIZES, torch.float64)
    expected = results(partial(loop, CELLS[name]), *given)
    found = results(partial(by_newton, CELLS[name]), *given)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-11)


def test_what_does_not_converge_is_told_and_runs_step_by_step() -> None:
    cell = CELLS["gru"]
    (x, state, *weights), _ = drawn(cell, (3, 4, 1, 2, 300), torch.float64)
    large = Weights(*(40 * w for w in weights))
    found = newton_rnn(cell, x, state.unbind(), large)
    assert not found.converged
    assert found.residual > 1e-3
    warn_once.cache_clear()
    with pytest.warns(UserWarning, match=r"did not converge .* step by step"):
        outputs, _ = run_cell(cell, x, state.unbind(), large, backend="newton")
    torch.testing.assert_close(outputs, loop(cell, x, state, large)[0])


def test_other_recurrences_are_refused() -> None:
    for name in ("lstm", "layer-norm-gru"):
        with pytest.raises(ValueError, match="needs a diagonal recurrence"):
            compile_cell(CellSpec.from_recipe(ZOO[name]), backend="newton")


@pytest.mark.parametrize("steps", [1, 2, 7, 8])
def test_a_scan_is_the_loop(steps: int) -> None:
    slopes = torch.randn(2, steps, 3, 2, 2, dtype=torch.float64)
    values = torch.randn(2, steps, 3, 2, dtype=torch.float64)
    state, expected = torch.zeros(2, 3, 2, dtype=torch.float64), []
    for step in range(steps):
        state = (slopes[:, step] @ state[..., None])[..., 0] + values[:, step]
        expected.append(state)
    torch.testing.assert_close(scan(slopes, values), torch.stack(expected, 1))
