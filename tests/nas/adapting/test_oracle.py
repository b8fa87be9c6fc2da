"""The search for a chain a sample, on a tiny decoder."""

import numpy as np
import pytest
import torch

from nas.adapting.oracle import Found, perturbed, search_each, summary
from nas.adapting.questions import Exam, Judged, Question
from nas.adapting.tree import ChainSearch, reward
from search_spaces.layer_chain.chain import Chain, Rules
from search_spaces.layer_chain.decoder import run_chain
from tests.search_spaces.layer_chain.models import SIZE, random_chains, small_llama

RULES = Rules(SIZE.layers)


def questions(count: int) -> list[Question]:
    rng = np.random.default_rng(0)
    return [
        Question(
            tuple(int(token) for token in rng.integers(SIZE.tokens, size=rng.integers(3, 8))),
            tuple(int(token) for token in rng.choice(SIZE.tokens, 4, replace=False)),
            int(rng.integers(4)),
        )
        for _ in range(count)
    ]


def test_an_exam_answers_as_each_question_does_alone() -> None:
    model, asked = small_llama(), questions(4)
    exam = Exam(model, asked, 2**24)
    requests = [(i % 4, chain) for i, chain in enumerate(random_chains(SIZE.layers, 12))]
    judged = exam.judge([row for row, _ in requests], exam.last_states(requests))
    for (row, chain), found in zip(requests, judged, strict=True):
        question = asked[row]
        logits = run_chain(model, torch.tensor([question.tokens]), chain)[0, -1]
        shares = logits[list(question.options)].softmax(0)
        assert found.correct == (int(shares.argmax()) == question.gold)
        assert found.likelihood == pytest.approx(float(shares[question.gold]), abs=1e-5)


def test_every_sample_has_its_simulations_and_the_same_seed_finds_the_same() -> None:
    first, second = (
        search_each(Exam(small_llama(), questions(3), 2**24), RULES, 40, 8, seed=1)
        for _ in range(2)
    )
    assert first == second
    for found in first:
        assert len(found.tried) == 41
        assert len(found.controls) == 40
        assert found.full in found.tried


def test_what_is_summed_up() -> None:
    yes, no = Judged(True, 0.9), Judged(False, 0.1)
    full = (0, 1, 2)
    found = [
        Found(full, {full: yes, (0, 1): yes, (2,): no}, (no, no)),
        Found(full, {full: yes, (0, 1): no, (0, 0, 1, 2): yes}, (yes, no)),
        Found(full, {full: no, (0, 1, 1, 2): yes}, (no,)),
        Found(full, {full: no, (1, 2): no}, (yes,)),
    ]
    told = summary(found, Exam(small_llama(), questions(4), 2**24))
    assert told == {
        "samples": 4,
        "full_accuracy": 0.5,
        "right_with_shorter_chain": 0.5,
        "wrong_put_right": 0.5,
        "control_pass_at_n": 0.5,
        "mean_chain_length": (2 + 3 + 4 + 3) / 4,
        "layer_calls": 0,
        "layer_calls_naive": 6 + 9 + 7 + 5,
    }


def test_a_control_is_as_large_as_what_it_controls() -> None:
    generator = torch.Generator().manual_seed(0)
    full, states = torch.randn(5, 8, generator=generator), torch.randn(5, 8, generator=generator)
    moved = perturbed(full, states, generator)
    torch.testing.assert_close((moved - full).norm(dim=1), (states - full).norm(dim=1))
    assert not torch.allclose(moved, states)


def test_the_root_branches_and_no_chain_is_evaluated_twice() -> None:
    search, seen = ChainSearch(Rules(28), np.random.default_rng(0)), set()
    for _ in range(50):
        chains = search.propose(4)
        assert not seen & set(chains)
        seen |= set(chains)
        search.learn({chain: 1 / len(chain) for chain in chains})
    assert len(seen) == 200
    assert len(search.tree.root.children) > 1


def test_a_small_space_is_searched_whole() -> None:
    rules = Rules(2, most=1, longest=3)
    search, seen = ChainSearch(rules, np.random.default_rng(0)), set()
    while chains := search.propose(3):
        seen |= set(chains)
        search.learn(dict.fromkeys(chains, 0.0))
    assert seen == {rules.full, *rules.neighbours(rules.full)}


def test_right_is_worth_more_than_short_and_short_more_than_long() -> None:
    right, wrong = Judged(True, 0.3), Judged(False, 0.9)
    longest: Chain = tuple(range(SIZE.layers)) * 2
    assert reward(right, (0,), RULES) > reward(right, longest, RULES) > reward(wrong, (0,), RULES)


@pytest.mark.parametrize(
    ("options", "gold", "message"),
    [((3,), 0, "two or more"), ((3, 3), 0, "different"), ((3, 4), 2, "must be 0 to 1")],
)
def test_a_question_that_cannot_be_judged_says_why(options, gold, message) -> None:
    with pytest.raises(ValueError, match=message):
        Question((1,), options, gold)
