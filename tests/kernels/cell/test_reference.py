"""One step of every operation agrees with a calculation by hand."""

import math

import pytest
import torch

from kernels.cell.operations import OPERATIONS
from kernels.cell.reference import reference_rnn, reference_step
from kernels.cell.spec import CellSpec, Node
from kernels.cell.weights import Weights

A, B, C = 0.5, -2.0, 3.0


def result(op: str, *read: float) -> float:
    """Return the result of one step of a one-unit cell that consists of this operation."""
    inputs = tuple(range(1, len(read) + 1))
    states = max(1, len(read))
    node = Node(op, inputs, 0.75 if op == "constant" else None)
    cell = CellSpec((node,), (states + 1,) * states)
    state = [torch.tensor([[value]], dtype=torch.float64) for value in read or (0.0,)]
    on_h = [[[[2.0 + j]]] for j in range(len(read))]  # weights 2, 3, 4, …
    shape = torch.zeros(0, 1, 1)
    weights = Weights(
        torch.tensor([[10.0]]),
        shape,
        torch.tensor(on_h).reshape(-1, 1, 1, 1),
        torch.tensor([[5.0]]),
    )
    weights = Weights(*(w.double() for w in weights))
    return float(reference_step(cell, torch.zeros(1, 1).double(), state, weights)[0])


BY_HAND = [
    ("linear", (A,), 10 + 2 * A),
    ("linear", (A, B, C), 10 + 2 * A + 3 * B + 4 * C),
    ("blend", (A, B, C), A * B + (1 - A) * C),
    ("elementwise_prod", (A, B), A * B),
    ("elementwise_prod", (A, B, C), A * B * C),
    ("elementwise_sum", (A, B), A + B),
    ("elementwise_sum", (A, B, C), A + B + C),
    ("activation_tanh", (A,), math.tanh(A)),
    ("activation_sigm", (A,), 1 / (1 + math.exp(-A))),
    ("activation_leaky_relu", (A,), A),
    ("activation_leaky_relu", (B,), 0.01 * B),
    ("activation_relu", (A,), A),
    ("activation_relu", (B,), 0),
    ("activation_hard_sigm", (A,), A / 6 + 0.5),
    ("activation_hard_sigm", (-4.0,), 0),
    ("activation_hard_sigm", (4.0,), 1),
    ("elementwise_max", (A, B), A),
    ("identity", (A,), A),
    ("one_minus", (A,), 1 - A),
    ("diagonal", (A,), 5 * A),
    ("constant", (), 0.75),
    ("diagonal", (), 5),
    ("activation_softplus", (A,), math.log1p(math.exp(A))),
    ("activation_silu", (B,), B / (1 + math.exp(-B))),
    ("activation_gelu", (B,), B * 0.5 * math.erfc(-B / math.sqrt(2))),
    ("exp", (B,), math.exp(B)),
    ("log", (C,), math.log(C)),
    ("sqrt", (C,), math.sqrt(C)),
    ("reciprocal", (B,), 1 / B),
    ("elementwise_sub", (A, B), A - B),
    ("elementwise_div", (A, B), A / B),
    ("clamp", (A, B, C), A),
    ("clamp", (A, C, B), B),
    ("clamp", (B, A, C), A),
    ("mean", (B,), B),
    ("layer_norm", (B,), 0),
    ("rms_norm", (B,), B / math.sqrt(B * B + 1e-5)),
    ("softmax", (B,), 1),
]


@pytest.mark.parametrize(("op", "read", "expected"), BY_HAND)
def test_an_operation_agrees_with_a_calculation_by_hand(
    op: str, read: tuple, expected: float
) -> None:
    assert result(op, *read) == pytest.approx(expected, abs=1e-12)


def test_every_operation_of_the_grammar_is_calculated_by_hand() -> None:
    assert {op for op, _, _ in BY_HAND} == set(OPERATIONS)


def test_an_operation_without_a_rule_is_named() -> None:
    with pytest.raises(ValueError, match="unknown operation cubic"):
        result("cubic", A)


def test_all_states_are_updated_at_the_same_time() -> None:
    """A Fibonacci cell: both new states are computed from both old ones."""
    cell = CellSpec((Node("elementwise_sum", (1, 2)), Node("linear", (1,))), (3, 4))
    weights = Weights(
        torch.zeros(1, 1), torch.zeros(0, 1, 1), torch.ones(1, 1, 1, 1), torch.zeros(0, 1)
    )
    state = (torch.ones(1, 1), torch.zeros(1, 1))
    outputs, last = reference_rnn(cell, torch.zeros(1, 6, 1), state, weights)
    assert outputs.flatten().tolist() == [1, 2, 3, 5, 8, 13]
    assert [float(s) for s in last] == [13, 8]
