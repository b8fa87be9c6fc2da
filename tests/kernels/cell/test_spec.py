"""Cells as data: reading, checking, canonical order."""

import json
import math
import random
from pathlib import Path

import networkx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.cell.operations import OPERATIONS
from kernels.cell.spec import CellSpec, InvalidCell
from kernels.cell.zoo import ZOO
from search_spaces import genome
from search_spaces.rnn_cell.recipe import cell_of, read_recipe
from search_spaces.rnn_cell.space import RnnCellSpace

CELLS = {name: CellSpec.from_recipe(recipe) for name, recipe in ZOO.items()}


def shuffled(recipe: dict, rng: random.Random) -> dict:
    """Return the same cell with other node names, in another order, with commuted inputs."""
    fixed = {name for name in recipe if name.startswith("h_new_")}
    names = {n: n if n in fixed else f"n{rng.random()}" for n in recipe}
    items = list(recipe.items())
    rng.shuffle(items)
    result = {}
    for name, node in items:
        inputs = [names.get(i, i) for i in node["input"]]
        if not OPERATIONS[node["op"]].ordered:
            rng.shuffle(inputs)
        result[names[name]] = {**node, "input": inputs}
    return result


@pytest.mark.parametrize("name", ZOO)
def test_renaming_and_reordering_do_not_change_the_canonical_cell(name: str) -> None:
    rng = random.Random(0)
    for _ in range(20):
        assert CellSpec.from_recipe(shuffled(ZOO[name], rng)).canonical() == CELLS[name].canonical()


@pytest.mark.parametrize("name", ZOO)
def test_a_recipe_survives_a_round_trip(name: str) -> None:
    canonical = CELLS[name].canonical()
    assert CellSpec.from_recipe(canonical.to_recipe()) == canonical


PARTIAL = {"elementwise_div", "log", "reciprocal", "sqrt"}  # undefined for some numbers
MEANING = {
    **{"exp": math.atan, "softplus": math.atan, "normal_cdf": math.erf},  # anything that is finite
    **{"tanh": math.tanh, "sigmoid": lambda a: 1 / (1 + math.exp(-a)), "full": float},
    **{
        "minimum": min,
        "maximum": max,
        "where": lambda condition, then, other: (other, then)[condition],
    },
}


def new_states(cell: CellSpec) -> list[float]:
    """Compute one step in plain Python; any order of its inputs gives a linear node's value."""
    values = [math.sin(number + 1) for number in range(cell.states + 1)]
    for node in cell.nodes:
        read = [values[number] for number in node.inputs]
        expression = OPERATIONS[node.op].value
        if expression is None:
            values.append(math.fsum(math.sin(3 * value) for value in read))
        else:
            values.append(
                float(eval(expression([f"({value!r})" for value in read], node.value), MEANING))
            )
    return [values[output] for output in cell.outputs]


@st.composite
def recipes(draw) -> dict[str, dict]:
    """Draw a recipe with constants, whose nodes stand in any order and which uses every node."""
    states = draw(st.integers(1, 12))
    recipe: dict[str, dict] = {
        "n": {"op": "linear", "input": ["x", *(f"h_prev_{i}" for i in range(states))]}
    }
    known = ["n", *(f"h_prev_{i}" for i in range(states))]
    for number in range(draw(st.integers(1, 6))):
        name = draw(st.sampled_from(["constant", *sorted(OPERATIONS.keys() - PARTIAL)]))
        operation = OPERATIONS[name]
        count = draw(st.integers(operation.fewest, min(operation.most, 3)))
        unique = name == "linear"
        count = min(count, len(known)) if unique else count
        read = draw(st.lists(st.sampled_from(known), min_size=count, max_size=count, unique=unique))
        value = {"value": draw(st.sampled_from([2, 3.5, -1, 0.0]))} if name == "constant" else {}
        recipe[f"n{number}"] = {"op": name, "input": read, **value}
        known.append(f"n{number}")
    for i in range(states):
        recipe[f"h_new_{i}"] = {"op": "elementwise_sum", "input": known[i:] + known[:i]}
    names = draw(st.permutations(list(recipe)))
    return {name: recipe[name] for name in names}


@settings(max_examples=150, derandomize=True, deadline=None, database=None)
@given(recipes())
def test_the_canonical_cell_computes_the_same(recipe: dict[str, dict]) -> None:
    cell = CellSpec.from_recipe(recipe)
    canonical = cell.canonical()
    assert new_states(canonical) == pytest.approx(new_states(cell), rel=1e-9, abs=1e-9)
    assert canonical.canonical() == canonical
    assert CellSpec.from_recipe(canonical.to_recipe()) == canonical


@settings(max_examples=50, derandomize=True, deadline=None, database=None)
@given(recipes())
def test_cells_with_other_constants_differ_and_2_is_2_0(recipe: dict[str, dict]) -> None:
    digest = read_recipe(recipe).digest()
    for name, node in recipe.items():
        if "value" in node:
            same, other = ({**node, "value": value} for value in (float(node["value"]), 7.25))
            assert read_recipe({**recipe, name: same}).digest() == digest
            assert read_recipe({**recipe, name: other}).digest() != digest


def labelled(cell: CellSpec) -> networkx.MultiDiGraph:
    """Return the cell for networkx; edges of ordered operations are labelled by position."""
    graph = networkx.MultiDiGraph()
    for i in range(cell.states + 1):
        graph.add_node(i, label=f"leaf {i}")
    for number, node in enumerate(cell.nodes, start=cell.states + 1):
        roles = [i for i, output in enumerate(cell.outputs) if output == number]
        graph.add_node(number, label=f"{node.op} {roles}")
        for place, source in enumerate(node.inputs):
            graph.add_edge(source, number, place=place if node.op == "blend" else 0)
    return graph


def test_canonical_cells_are_equal_exactly_when_networkx_finds_an_isomorphism() -> None:
    space, rng = RnnCellSpace((1, 2), (3,)), np.random.default_rng(1)
    cells = [cell_of(genome.sample(space, rng)[0]) for _ in range(60)]
    graphs = [labelled(cell) for cell in cells]
    same = 0
    for i in range(len(cells)):
        for j in range(i):
            isomorphic = networkx.is_isomorphic(
                graphs[i],
                graphs[j],
                node_match=lambda a, b: a["label"] == b["label"],
                edge_match=lambda a, b: (
                    sorted(e["place"] for e in a.values()) == sorted(e["place"] for e in b.values())
                ),
            )
            assert isomorphic == (cells[i] == cells[j])
            same += isomorphic
    assert same > 0


def test_an_lstm_has_the_parameters_and_flops_of_four_gates() -> None:
    cell = CELLS["lstm"]
    assert cell.parameters(400, 600) == 4 * (400 + 600 + 1) * 600
    assert cell.flops(400, 600) == 4 * 2 * 1000 * 600 + 600 * 9


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({}, 'no new state: call the output node "h_new_0"'),
        ({"h_new_1": {"op": "linear", "input": ["x"]}}, '"h_new_0" is missing'),
        ({"h_new_0": {"op": "linear", "input": ["h_prev_1"]}}, 'the recipe has no "h_new_1"'),
        ({"h_new_0": {"op": "activation_tanh", "input": ["x"]}}, "only a linear node can"),
        ({"h_new_0": {"op": "linear"}}, 'node "h_new_0" must be'),
        ({"h_new_0": {"op": ["linear"], "input": ["x"]}}, 'node "h_new_0" must be'),
        ({"h_new_0": {"op": "linear", "input": [["x"]]}}, 'node "h_new_0" must be'),
        ({"h_new_0": {"op": "linear", "input": "x"}}, 'node "h_new_0" must be'),
        ({"h_new_²": {"op": "linear", "input": ["x"]}}, 'call the output node "h_new_0"'),
        ({"h_new_00": {"op": "linear", "input": ["x"]}}, 'call the output node "h_new_0"'),
        ({"h_new_0": {"op": "constant", "input": [], "value": True}}, "must be a number"),
        ({"h_new_0": {"op": "constant", "input": [], "value": 10**400}}, "must be a number"),
    ],
)
def test_a_wrong_recipe_is_refused_with_the_node_and_the_remedy(recipe: dict, message: str) -> None:
    with pytest.raises(InvalidCell) as error:
        CellSpec.from_recipe(recipe)
    assert message in str(error.value)


def test_all_recipes_of_the_benchmark_are_read(data_folder: Path) -> None:
    lines = (data_folder / "nas" / "nas_bench_nlp_wt2.jsonl").read_text().splitlines()
    recipes = [json.loads(line)["recipe"] for line in lines]
    assert len(recipes) == 256
    assert len({json.dumps(recipe, sort_keys=True) for recipe in recipes}) == 218
    cells = [CellSpec.from_recipe(recipe) for recipe in recipes]
    for cell, recipe in zip(cells, recipes, strict=True):
        assert CellSpec.from_recipe(cell.to_recipe()).canonical() == cell.canonical()
        assert len(cell.nodes) == len(recipe)
    assert len({cell.canonical() for cell in cells}) == 204
