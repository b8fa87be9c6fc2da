"""Schedules: which values are computed together, and which cells can be compiled."""

import pytest

from kernels.cell.schedule import inlined_numbers, schedule_of
from kernels.cell.spec import CellSpec, InvalidCell, Node
from kernels.cell.zoo import ZOO

CELLS = {name: CellSpec.from_recipe(recipe) for name, recipe in ZOO.items()}


@pytest.mark.parametrize(
    ("name", "forward", "reverse"),
    [("lstm", 1, 2), ("gru", 2, 3), ("rhn", 2, 3), ("coupled-lstm", 1, 2)],
)
def test_products_separate_the_levels(name: str, forward: int, reverse: int) -> None:
    schedule = schedule_of(CELLS[name])
    assert (len(schedule.forward), len(schedule.reverse)) == (forward, reverse)


def deep(levels: int) -> CellSpec:
    """Return a chain of linear nodes, all read by a sum at the end."""
    nodes = [Node("linear", (0, 1))]
    for _ in range(levels - 1):
        nodes.append(Node("linear", (len(nodes) + 1,)))
    nodes.append(Node("elementwise_sum", tuple(range(2, 2 + levels))))
    return CellSpec(tuple(nodes), (2 + levels,))


def test_a_chain_of_products_has_one_level_per_product() -> None:
    schedule = schedule_of(deep(6))
    assert schedule.forward == ((2,), (3,), (4,), (5,), (6,), (7, 8))
    assert schedule.reverse == ((8, 7), (6,), (5,), (4,), (3,), (2,), (1,))
    assert schedule.partial == (2, 3, 4, 5, 6)


@pytest.mark.parametrize("name", ZOO)
def test_every_value_is_computed_once_and_after_its_inputs(name: str) -> None:
    cell = CELLS[name]
    schedule = schedule_of(cell)
    first, numbers = cell.states + 1, inlined_numbers(cell)
    nodes = [v for v in range(first, first + len(cell.nodes)) if v not in numbers]
    forward = [value for level in schedule.forward for value in level]
    reverse = [value for level in schedule.reverse for value in level]
    assert sorted(forward) == nodes
    assert sorted(reverse) == [*range(1, first), *nodes]
    for value in nodes:
        for source in schedule.node(value).inputs:
            if source in nodes:
                assert forward.index(source) < forward.index(value)
                assert reverse.index(source) > reverse.index(value)
    levels = {value: i for i, level in enumerate(schedule.forward) for value in level}
    for value in schedule.layout.linears:
        assert all(
            levels[source] < levels[value]
            for source in schedule.node(value).inputs
            if source in nodes
        )


def test_a_new_state_that_equals_an_old_one_needs_an_identity() -> None:
    with pytest.raises(InvalidCell, match='"h_new_1" is "h_prev_0" itself: add an identity'):
        schedule_of(CellSpec((Node("linear", (0, 1)),), (3, 1)))
