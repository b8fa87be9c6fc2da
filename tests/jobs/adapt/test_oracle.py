"""Searching a chain per sample, with a tiny decoder."""

import math

import numpy as np
import pytest
import torch

from nas.jobs.adapt.evaluator import ChainEvaluator
from nas.jobs.adapt.oracle import Found, Search, perturbed, search_each, shares
from nas.jobs.adapt.questions import Exact, Judged, Letters, Likelihoods, Question, read
from nas.jobs.adapt.reward import reward
from nas.jobs.adapt.searches.tree import TreeOfEdits
from search_spaces.decisions import at_random
from search_spaces.layer_chain.chain import Chain, Rules, skips_and_repeats
from search_spaces.layer_chain.decoder import run_chain
from tests.search_spaces.layer_chain.models import SIZE, random_chains, small_llama

RULES = Rules(SIZE.layers)


def questions(count: int) -> list[Question]:
    """Return questions of all kinds, in turn."""
    rng = np.random.default_rng(0)
    made: list[Question] = []
    for number in range(count):
        length = int(rng.integers(3, 8))
        prompt = tuple(map(int, rng.integers(SIZE.tokens, size=length)))
        options = tuple(map(int, rng.choice(SIZE.tokens, 4, replace=False)))
        gold = int(rng.integers(4))
        kinds = (
            Letters(prompt, options, gold),
            Exact(prompt, options[:2]),
            Likelihoods(prompt, tuple(options[:n] for n in (1, 2, 3)), gold % 3),
        )
        made.append(kinds[number % 3])
    return made


def test_questions_asked_together_get_the_same_answers_as_alone() -> None:
    model, asked = small_llama(), questions(6)
    evaluator = ChainEvaluator(model, asked, 2**24)
    requests = [(i % 6, chain) for i, chain in enumerate(random_chains(SIZE.layers, 18))]
    judged = evaluator.judge([number for number, _ in requests], evaluator.states(requests))
    for (number, chain), found in zip(requests, judged, strict=True):
        readings = []
        for row in asked[number].rows:
            logits = run_chain(model, torch.tensor([row.tokens]), chain)[0, row.first :]
            chosen = logits[:, list(row.options)]
            readings.append(chosen if row.options else read(logits, torch.tensor(row.targets)))
        alone = asked[number].judged(readings)
        assert (found.answer, found.correct) == (alone.answer, alone.correct)
        assert found.likelihood == pytest.approx(alone.likelihood, abs=1e-4)


def test_every_sample_gets_its_simulations_and_a_seed_is_reproducible() -> None:
    first, second = (
        search_each(ChainEvaluator(small_llama(), questions(3), 2**24), RULES, Search(40), range(3))
        for _ in range(2)
    )
    assert first == second
    for found in first:
        assert len(found.tried) == 41
        assert len(found.controls) == 40
        assert found.full in found.tried


def test_a_tree_starts_by_skipping_the_least_important_layers() -> None:
    search = TreeOfEdits(RULES, np.random.default_rng(0), weakest=[4, 1, 2, 0, 3, 5])
    chains = search.propose(4)
    assert chains == [(0, 1, 2, 3, 5), (0, 2, 3, 5), (0, 3, 5), (3, 5)]
    search.learn(dict.fromkeys(chains, 0.5))
    assert search.tree.root.visits == 4
    assert not set(search.propose(8)) & set(chains)
    only_repeats = Rules(6, skips_and_repeats([], [(1, 2)]))
    assert len(TreeOfEdits(only_repeats, np.random.default_rng(0), [4]).propose(1)[0]) > 6


def test_with_the_objective_correct_the_search_stops_at_the_first_correct_answer() -> None:
    search = Search(60, batch=1, objective="correct")
    found = search_each(ChainEvaluator(small_llama(), questions(6), 2**24), RULES, search, range(6))
    assert any(one.right_at_first for one in found) or any(one.shortest for one in found)
    for one in found:
        right = [chain for chain, judged in one.tried.items() if judged.correct]
        assert len(right) == 1 or not one.shortest
        assert right[-1:] == list(one.tried)[-1:] or len(one.tried) == 61


def test_shares_are_as_computed_by_hand() -> None:
    yes, no = Judged((1,), True, 0.9, 0.9), Judged((0,), False, 0.1, 0.9)
    full = (0, 1, 2)
    found = [
        Found(full, {full: yes, (0, 1): yes, (2,): no}, (False, False), full),
        Found(full, {full: yes, (0, 1): no, (0, 0, 1, 2): yes}, (True, False), full),
        Found(full, {full: no, (0, 1, 1, 2): yes}, (False,), full),
        Found(full, {full: no, (1, 2): no}, (True,), full),
    ]
    assert shares(found) == {
        "samples": 4,
        "full_accuracy": 0.5,
        "right_with_shorter_chain": 0.5,
        "calls_saved": pytest.approx(1 / 3),
        "wrong_put_right": 0.5,
        "control_pass_at_n": 0.5,
        "mean_chain_length": (2 + 3 + 4 + 3) / 4,
    }
    assert math.isnan(shares(found[:2])["wrong_put_right"])


def test_a_control_is_as_large_as_the_change_it_controls_for() -> None:
    generator = torch.Generator().manual_seed(0)
    full, states = torch.randn(5, 8, generator=generator), torch.randn(5, 8, generator=generator)
    (moved,) = perturbed((full,), (states,), generator)
    torch.testing.assert_close((moved - full).norm(dim=1), (states - full).norm(dim=1))
    assert not torch.allclose(moved, states)


def test_the_root_branches_and_no_chain_is_evaluated_twice() -> None:
    search, seen = TreeOfEdits(Rules(28), np.random.default_rng(0)), set()
    for _ in range(50):
        chains = search.propose(4)
        assert not seen & set(chains)
        seen |= set(chains)
        search.learn({chain: 1 / len(chain) for chain in chains})
    assert len(seen) == 200
    assert len(search.tree.root.children) > 1


def test_a_small_space_is_searched_completely() -> None:
    rules = Rules(2, most=1, longest=3)
    search, seen = TreeOfEdits(rules, np.random.default_rng(0)), set()
    while chains := search.propose(3):
        seen |= set(chains)
        search.learn(dict.fromkeys(chains, 0.0))
    assert seen == {rules.full, *rules.neighbours(rules.full)}


def test_correct_beats_short_and_short_beats_long() -> None:
    right, wrong = Judged((1,), True, 0.3, 0.3), Judged((0,), False, 0.9, 0.9)
    longest: Chain = tuple(range(SIZE.layers)) * 2

    def worth(judged: Judged, chain: Chain) -> float:
        return reward(judged, chain, RULES, right)

    assert worth(right, (0,)) > worth(right, longest) > worth(wrong, (0,))


def test_rewards_without_labels_use_agreement_or_confidence() -> None:
    full, other = Judged((1,), False, 0.3, 0.6), Judged((0,), True, 0.9, 0.9)
    assert reward(full, (0,), RULES, full, "agreement") > 0.5
    assert reward(other, (0,), RULES, full, "agreement") == 0
    assert reward(other, (0,), RULES, full, "confidence") > reward(
        full, (0,), RULES, full, "confidence"
    )


def test_a_planted_chain_is_found_sooner_than_by_chance() -> None:
    """In 30 problems, one of 1,799 chains gives the correct answer, one of 50 options."""
    rules = Rules(SIZE.layers, skips_and_repeats([1, 2], [(1, 2), (2, 2)]), most=3)
    chains = [rules.full]
    for _ in range(rules.most):
        chains = list(dict.fromkeys([*chains, *(o for c in chains for o in rules.neighbours(c))]))
    model = small_llama()
    evaluator = ChainEvaluator(model, [Letters((1, 2, 3, 4, 5), (6, 7), 0)], 2**28)
    ends = model.norm(torch.cat([end for (end,) in evaluator.states([(0, c) for c in chains])]))
    counts = []
    for seed in range(30):
        planted = np.random.default_rng(seed).choice(len(chains), 50, replace=False)
        shares = (ends @ ends[planted].T / ends.shape[1] ** 0.5 * 3).softmax(dim=1)
        judged = {
            chain: Judged((int(line.argmax()),), int(line.argmax()) == 0, float(line[0]), 0.0)
            for chain, line in zip(chains, shares, strict=True)
        }
        counts.append((by_tree(rules, judged, seed), by_chance(rules, judged, seed)))
    tree, chance = np.array(counts).T
    assert tree.mean() < chance.mean() and np.median(tree) < np.median(chance)
    assert (tree < chance).sum() > (tree > chance).sum()


def by_tree(rules: Rules, judged: dict[Chain, Judged], seed: int) -> int:
    """Return how many chains a tree search tries before a correct one."""
    search, full = TreeOfEdits(rules, np.random.default_rng(seed)), judged[rules.full]
    tried, new = 0, [rules.full]
    while new:
        search.learn({chain: reward(judged[chain], chain, rules, full) for chain in new})
        for chain in new:
            if judged[chain].correct:
                return tried
            tried += 1
        new = search.propose(1)
    raise AssertionError("no chain is correct")


def by_chance(rules: Rules, judged: dict[Chain, Judged], seed: int) -> int:
    rng, tried = np.random.default_rng(seed), [rules.full]
    while not judged[tried[-1]].correct:
        chain = rules.decide(at_random(rng))
        if chain not in tried:
            tried.append(chain)
    return len(tried) - 1
