"""Cells are drawn from NAS-Bench-NLP's space as published."""

from contextlib import suppress

import numpy as np
import pytest
import torch

from kernels.cell.zoo import GRU, ZOO
from search_spaces import genome
from search_spaces.decisions import InvalidArchitecture, at_random
from search_spaces.rnn_cell.recipe import architecture_of, cell_of, read_recipe, recipe_of
from search_spaces.rnn_cell.space import RnnCellSpace
from search_spaces.space import DataShape, ModelShape, ModelSize

# the published generator's shares of valid proposals, 300 seeds each
PUBLISHED = {
    (1, 7): 0.58,
    (1, 14): 0.69,
    (1, 21): 0.71,
    (2, 7): 0.19,
    (2, 14): 0.25,
    (2, 21): 0.31,
    (3, 7): 0.03,
    (3, 14): 0.08,
    (3, 21): 0.12,
}


@pytest.mark.parametrize(("states", "budget"), PUBLISHED)
def test_the_share_of_valid_proposals_is_as_published(states: int, budget: int) -> None:
    space, rng, draws = RnnCellSpace((states, states), (budget,)), np.random.default_rng(0), 600
    valid = 0
    for _ in range(draws):
        try:
            space.decide(at_random(rng))
            valid += 1
        except InvalidArchitecture:
            pass
    published = PUBLISHED[states, budget]
    error = (published * (1 - published) * (1 / 300 + 1 / draws)) ** 0.5
    assert abs(valid / draws - published) < 3.5 * error


def test_operations_are_drawn_with_the_published_weights() -> None:
    rng, drawn = np.random.default_rng(0), []
    for _ in range(400):
        decisions = at_random(rng)
        with suppress(InvalidArchitecture):
            RnnCellSpace((1, 1), (21,)).decide(decisions)
        drawn += [v.split()[0] for n, v in decisions.answers.items() if n.endswith("operation")]
    shares = {op: drawn.count(op) / len(drawn) for op in set(drawn)}
    assert shares["linear"] == pytest.approx(1 / 2, abs=0.03)
    for op in ("blend", "elementwise_prod", "elementwise_sum"):
        assert shares[op] == pytest.approx(1 / 6, abs=0.02)


def test_every_sample_reads_all_inputs_and_passes_no_state_directly_on() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        architecture, _ = genome.sample(RnnCellSpace(), rng)
        cell = cell_of(architecture)
        assert cell.needed() >= set(range(cell.states + 1))
        assert architecture_of(recipe_of(architecture)) == architecture


def test_a_gru_is_read_although_the_grammar_cannot_produce_it() -> None:
    read_recipe(GRU)
    with pytest.raises(InvalidArchitecture, match='"h_new_0" reads "h_prev_0" directly'):
        architecture_of(GRU)


def test_a_state_that_nothing_reads_is_named_and_allowed_in_known_cells() -> None:
    recipe = {**ZOO["rnn-tanh"], "h_new_1": {"op": "activation_tanh", "input": ["sum"]}}
    read_recipe(recipe)
    with pytest.raises(InvalidArchitecture, match='no new state depends on "h_prev_1"'):
        architecture_of(recipe)


SIZE = ModelSize(embedding=6, hidden=8, layers=2, activation_penalty=2, slowness_penalty=1)


def build(name: str, data: DataShape, seed: int = 0) -> torch.nn.Module:
    generator = torch.Generator().manual_seed(seed)
    return RnnCellSpace().build(read_recipe(ZOO[name]), ModelShape(data, SIZE), generator)


def test_a_language_model_shares_its_embedding_and_carries_its_state() -> None:
    model = build("lstm", DataShape("tokens", 11, 11, every_step=True)).eval()
    tokens = torch.randint(11, (3, 8))
    whole = model(tokens)
    first = model(tokens[:, :5])
    second = model(tokens[:, 5:], first.state)
    together = torch.cat([first.answers, second.answers], dim=1)
    torch.testing.assert_close(together, whole.answers)
    assert whole.answers.shape == (3, 8, 11)
    assert sum(p.numel() for p in model.parameters()) == 11 * 6 + 11 + 4 * (
        (6 + 8 + 1) * 8 + (8 + 6 + 1) * 6
    )


def test_penalties_are_as_in_the_paper_and_only_in_training() -> None:
    model = build("lstm", DataShape("tokens", 11, 11, every_step=True))
    tokens = torch.randint(11, (3, 8))
    seen = []
    model.layers[-1].register_forward_hook(lambda _, __, result: seen.append(result[0]))
    penalty = model.train()(tokens).penalty
    steps = seen[0][:, 1:] - seen[0][:, :-1]
    torch.testing.assert_close(penalty, 2 * seen[0].pow(2).mean() + steps.pow(2).mean())
    assert model.eval()(tokens).penalty == 0


def test_the_same_seed_builds_the_same_weights() -> None:
    data = DataShape("tokens", 11, 11, every_step=True)
    first, again, other = (build("gru", data, seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize(
    ("data", "inputs"),
    [
        (DataShape("tokens", 7, 2, every_step=False), torch.ones(4, 5, dtype=torch.long)),
        (DataShape("features", 3, 2, every_step=False), torch.ones(4, 5, 3)),
        (DataShape("images", 3, 2, every_step=False, height=5, width=4), torch.ones(4, 3, 5, 4)),
    ],
)
def test_a_classifier_answers_once_per_sequence(data: DataShape, inputs: torch.Tensor) -> None:
    assert build("mgu", data)(inputs).answers.shape == (4, 2)


def test_a_classifier_does_not_read_padding() -> None:
    model = build("gru", DataShape("tokens", 7, 2, every_step=False)).eval()
    tokens = torch.randint(7, (1, 5))
    padded = torch.cat([tokens, torch.zeros(1, 3, dtype=torch.long)], dim=1)
    torch.testing.assert_close(
        model(padded, None, torch.tensor([5])).answers, model(tokens).answers
    )
