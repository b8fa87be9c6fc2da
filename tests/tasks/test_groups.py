"""Groups by name: the axioms, orders, and known facts about products of permutations."""

import itertools

import numpy as np
import pytest

from nas.core.task import BadData
from nas.tasks.groups import multiplication_table, named_group


@pytest.mark.parametrize(
    ("name", "order", "commutes"),
    [
        ("Z2", 2, True),
        ("Z60", 60, True),
        ("S3", 6, False),
        ("D3", 6, False),
        ("D4", 8, False),
        ("S4", 24, False),
        ("A4", 12, False),
        ("A5", 60, False),
        ("S5", 120, False),
        ("A4_x_Z5", 60, False),
        ("Z2_x_Z3", 6, True),
        ("Z1_x_A2_x_S2", 2, True),
        ("S6", 720, False),
        ("Z720", 720, True),
    ],
)
def test_tables_are_groups_of_the_right_order(name: str, order: int, commutes: bool) -> None:
    table = named_group(name).table
    assert table.shape == (order, order)
    assert (table[0] == np.arange(order)).all() and (table[:, 0] == np.arange(order)).all()
    assert (np.sort(table, axis=1) == np.arange(order)).all()
    assert (np.sort(table, axis=0) == np.arange(order)[:, None]).all()
    a, b, c = np.random.default_rng(0).integers(order, size=(3, 5000))
    assert (table[table[a, b], c] == table[a, table[b, c]]).all()
    assert bool((table == table.T).all()) is commutes


def elements_by_order(name: str) -> dict[int, int]:
    """Return how many elements have each order, counted by repeated products."""
    table = named_group(name).table
    found: dict[int, int] = {}
    for element in range(len(table)):
        power, order = element, 1
        while power:
            power, order = table[element, power], order + 1
        found[order] = found.get(order, 0) + 1
    return found


def test_orders_of_elements_tell_groups_of_one_size_apart() -> None:
    assert elements_by_order("A5") == {1: 1, 2: 15, 3: 20, 5: 24}
    assert elements_by_order("S4") == {1: 1, 2: 9, 3: 8, 4: 6}
    assert elements_by_order("Z2_x_Z3") == elements_by_order("Z6") == {1: 1, 2: 1, 3: 2, 6: 2}
    assert elements_by_order("D4") == {1: 1, 2: 5, 4: 2}


def test_the_table_agrees_with_products_of_all_permutations() -> None:
    generators = [(1, 2, 3, 0), (1, 0, 2, 3)]
    table = multiplication_table(generators)
    assert len(table) == 24
    numbered = {(0, 1, 2, 3): 0}  # breadth first, each generator times each element
    queue = list(numbered)
    for element in queue:
        for generator in generators:
            product = tuple(generator[i] for i in element)
            if product not in numbered:
                numbered[product] = len(numbered)
                queue.append(product)
    assert set(numbered) == set(itertools.permutations(range(4)))
    for (p, i), (q, j) in itertools.product(numbered.items(), repeat=2):
        assert table[i, j] == numbered[tuple(p[q[k]] for k in range(4))]


@pytest.mark.parametrize("name", ["Q8", "", "s3", "S3 x Z2", "Z", "Z0", "D2", "S3_x_", "S3xZ2"])
def test_unknown_groups_are_refused(name: str) -> None:
    with pytest.raises(BadData, match=f'unknown group "{name}": the groups are Zn, Sn, An, Dn'):
        named_group(name)


@pytest.mark.parametrize("name", ["S7", "A7", "Z721", "Z1", "A2", "S5_x_S5", "S99999999999999999"])
def test_groups_that_are_too_large_or_trivial_are_refused(name: str) -> None:
    with pytest.raises(BadData, match=f'group "{name}" is too large or has one element: .* 720 '):
        named_group(name)
