"""Random cells drawn by hypothesis: their gradients agree with finite differences."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.cell.cpu.loops import CompiledLoops
from kernels.cell.operations import OPERATIONS
from kernels.cell.schedule import schedule_of
from kernels.cell.spec import CellSpec, Node
from kernels.cell.torch_loops import TorchLoops
from kernels.cell.weights import Weights
from tests.kernels.cell.agreement import Sizes, by_length, drawn, errors

POSITIVE = ("log", "sqrt", "reciprocal", "elementwise_div")  # defined for their last input > 0


@st.composite
def cells(draw, reducing: bool = True) -> CellSpec:
    """Draw a cell: any operations on any earlier values; states and x may stay unread.

    reducing: whether units of a head can depend on each other without a matrix.
    """
    states = draw(st.integers(1, 3))
    names = [name for name in sorted(OPERATIONS) if reducing or not OPERATIONS[name].reduction]
    nodes: list[Node] = []

    def added(op: str, *inputs: int, value: float | None = None) -> int:
        nodes.append(Node(op, inputs, value))
        return states + len(nodes)

    for _ in range(draw(st.integers(states, 7))):
        name = draw(st.sampled_from(names))
        operation = OPERATIONS[name]
        known = list(range(0 if name == "linear" else 1, states + 1 + len(nodes)))
        count = draw(st.integers(operation.fewest, min(operation.most, 3)))
        unique = name == "linear"
        inputs = draw(
            st.lists(
                st.sampled_from(known),
                min_size=count,
                max_size=min(count, len(known)) if unique else count,
                unique=unique,
            )
            if not unique or count <= len(known)
            else st.just(known)
        )
        if name in POSITIVE:
            half, positive = added("constant", value=0.5), added("activation_softplus", inputs[-1])
            inputs = [*inputs[:-1], added("elementwise_sum", half, positive)]
        elif name == "exp":
            inputs = [added("activation_tanh", inputs[0])]
        added(name, *inputs, value=0.5 if name == "constant" else None)
    outputs = draw(
        st.lists(st.integers(states + 1, states + len(nodes)), min_size=states, max_size=states)
    )
    return CellSpec(tuple(nodes), tuple(outputs))


@st.composite
def sizes(draw) -> Sizes:
    heads = draw(st.integers(1, 3))
    hidden = heads * draw(st.integers(1, 3))
    return draw(st.integers(1, 3)), hidden, heads, draw(st.integers(1, 3)), draw(st.integers(1, 5))


QUIET = {"derandomize": True, "deadline": None, "database": None}


@settings(max_examples=60, **QUIET)
@given(cells(), sizes(), st.integers(0, 5))
def test_gradients_agree_with_finite_differences(cell: CellSpec, size: Sizes, least: int) -> None:
    loops = TorchLoops(schedule_of(cell))
    tensors, _ = drawn(cell, size, torch.float64)
    lengths = torch.arange(size[3]).add(least) % (size[4] + 1)
    leaves = [tensor.requires_grad_() for tensor in tensors if tensor.numel()]

    def run(*given: torch.Tensor):
        every = iter(given)
        x, state, *weights = (next(every) if t.numel() else t for t in tensors)
        return by_length(loops, x, state, Weights(*weights), lengths)

    assert torch.autograd.gradcheck(run, tuple(leaves), atol=1e-4)


@settings(max_examples=12, **QUIET)
@given(cells(), sizes())
def test_c_agrees_with_the_reference(cell: CellSpec, size: Sizes) -> None:
    loops = CompiledLoops(schedule_of(cell), torch.float64)
    assert errors(loops, size, torch.float64, torch.arange(size[3]) % (size[4] + 1))[0] < 1e-10
