"""The properties of cells' graphs, counted by hand."""

from kernels.cell.zoo import ZOO
from search_spaces.rnn_cell.recipe import cell_of, read_recipe
from search_spaces.rnn_cell.structure import structure


def of(recipe: dict) -> dict[str, float]:
    return structure(cell_of(read_recipe(recipe)))


def test_a_plain_rnn_has_the_counted_properties() -> None:
    found = of(ZOO["rnn-tanh"])
    assert (found["linear"], found["activation_tanh"], found["nodes"]) == (1, 1, 2)
    assert (found["matrices_x"], found["matrices_h"], found["matrices_inner"]) == (1, 1, 0)
    assert (found["x_shortest"], found["x_longest"], found["x_linears"]) == (2, 2, 1)
    assert (found["output_bounded"], found["output_positive"], found["degree"]) == (1, 0, 0)
    assert found["carried"] == found["gates_on_states"] == 0


def test_an_lstm_carries_its_second_state_and_gates_with_sigmoids() -> None:
    found = of(ZOO["lstm"])
    assert found["states"] == 2
    assert found["carried"] == 1
    assert found["gated_products"] == 3
    assert found["activation_sigm"] == 3


def test_a_state_that_squares_itself_has_a_degree_that_doubles() -> None:
    recipe = {
        "a": {"op": "linear", "input": ["x", "h_prev_0"]},
        "h_new_0": {"op": "elementwise_prod", "input": ["a", "h_prev_0"]},
    }
    assert of(recipe)["degree"] == 16
    assert of(recipe)["output_bounded"] == 0


def test_bounds_depend_on_the_inputs_of_a_node() -> None:
    recipe = {
        "a": {"op": "linear", "input": ["x", "h_prev_0"]},
        "gate": {"op": "activation_sigm", "input": ["a"]},
        "b": {"op": "activation_tanh", "input": ["a"]},
        "inner": {"op": "elementwise_prod", "input": ["gate", "b"]},
        "h_new_0": {"op": "blend", "input": ["gate", "inner", "b"]},
    }
    found = of(recipe)
    assert (found["output_bounded"], found["output_positive"]) == (1, 0)
    assert (found["gated_blends"], found["gated_products"]) == (1, 1)


def test_distances_are_minus_one_without_a_path_from_the_state() -> None:
    recipe = {
        "a": {"op": "linear", "input": ["x", "h_prev_1"]},
        "h_new_0": {"op": "activation_tanh", "input": ["a"]},
        "b": {"op": "linear", "input": ["h_prev_0", "x"]},
        "h_new_1": {"op": "activation_leaky_relu", "input": ["b"]},
    }
    found = of(recipe)
    assert found["h_shortest"] == found["h_squashes"] == -1
    assert found["x_shortest"] == 2


def test_all_cells_have_the_same_properties() -> None:
    assert len({tuple(of(recipe)) for recipe in ZOO.values()}) == 1
