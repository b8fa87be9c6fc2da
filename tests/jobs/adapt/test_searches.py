"""What every chain search owes its users, and what each method does."""

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest

from nas.jobs.adapt.searches.descent import Descent
from nas.jobs.adapt.searches.search import SEARCHES, ChainSearch
from search_spaces.layer_chain.chain import Chain, Rules, skips_and_repeats

RULES = Rules(6)
WEAKEST = [4, 1, 2, 0, 3, 5]
NEEDED = {0, 3}


def worth(chain: Chain) -> float:
    """Return the reward of a task that needs layers 0 and 3, in this order."""
    if set(chain) >= NEEDED and chain.index(0) < len(chain) - chain[::-1].index(3):
        return 1 - len(chain) / (2 * RULES.limit)
    return 0.2 * len(NEEDED & set(chain))


def made(method: str, rules: Rules = RULES, seed: int = 0) -> ChainSearch:
    weakest = [layer for layer in WEAKEST if layer < rules.layers]
    return SEARCHES[method](rules, np.random.default_rng(seed), weakest)  # type: ignore[index]


def tried(
    search: ChainSearch,
    count: int,
    reward: Callable[[Chain], float] = worth,
    rules: Rules = RULES,
    batch: int = 4,
) -> list[Chain]:
    """Return the chains that a search proposes, without the full one."""
    search.learn({rules.full: reward(rules.full)})
    found: list[Chain] = []
    while len(found) < count and (new := search.propose(min(batch, count - len(found)))):
        assert len(new) <= batch
        found += new
        search.learn({chain: reward(chain) for chain in new})
    return found


@pytest.mark.parametrize("method", SEARCHES)
def test_a_search_proposes_new_chains_of_the_rules_and_repeats_itself_with_a_seed(
    method: str,
) -> None:
    first, second = (tried(made(method, seed=3), 40) for _ in range(2))
    assert first == second and len(first) == 40
    assert len({*first, RULES.full}) == 41
    assert all(1 <= len(chain) <= RULES.limit for chain in first)
    assert all(0 <= layer < RULES.layers for chain in first for layer in chain)


@pytest.mark.parametrize("method", SEARCHES)
def test_a_search_ends_when_nothing_is_left(method: str) -> None:
    rules = Rules(2, most=2)
    found = tried(made(method, rules), 10_000, lambda chain: 1 / len(chain), rules)
    assert {(0,), (1,)} <= set(found)
    assert len(set(found)) == len(found)


def test_removal_expands_the_best_chain_and_goes_back_to_longer_ones() -> None:
    found = tried(made("removal"), 300)
    assert set(found[:6]) == set(combinations(range(6), 5))
    assert found.index((0, 3)) < 25  # there are 41 chains of 5, 4 and 3 layers
    assert set(found) == {c for n in range(1, 6) for c in combinations(range(6), n)}


def test_descent_moves_on_at_the_first_better_chain() -> None:
    found = tried(Descent(RULES, np.random.default_rng(0), WEAKEST), 6, batch=1)
    shorter = [(0, 1, 2, 3, 5), (0, 2, 3, 5), (0, 3, 5)]
    assert found == [*shorter, (3, 5), (0, 5), (0, 3)]  # (3, 5) and (0, 5) are wrong


def test_both_ends_begins_with_the_most_important_layers_then_takes_turns() -> None:
    found = tried(made("both-ends"), 9)
    assert found[:5] == [(0, 1, 2, 3, 5), (0, 2, 3, 5), (0, 3, 5), (3, 5), (5,)]
    assert (0, 3) in found[5:]  # the right chain (0, 3, 5) without a layer
    assert {(3,), (0,)} & set(found[5:])


def test_both_ends_repeats_layers_only_until_a_chain_is_right() -> None:
    def twice(chain: Chain) -> float:
        return 0.6 if chain.count(2) > 1 else 0.1

    found = tried(made("both-ends"), 200, twice)
    right = next(place for place, chain in enumerate(found) if chain.count(2) > 1)
    later = found[right + 4 :]  # after the batch that found it
    assert all(len(set(chain)) == len(chain) or chain.count(2) > 1 for chain in later)


def test_the_protocol_of_cola_stops_at_the_first_right_chain_if_the_full_one_is_wrong() -> None:
    found = tried(made("cola"), 500, lambda chain: 0.9 if len(chain) == 3 else 0.0, batch=1)
    assert [len(chain) for chain in found].count(3) == 1 and len(found[-1]) == 3
    search = made("cola")
    tried(search, 60)
    assert len(search.root.children) > 1  # type: ignore[attr-defined]


def test_a_search_without_repeats_never_repeats() -> None:
    rules = Rules(6, skips_and_repeats([1, 2], []))
    for method in SEARCHES:
        for chain in tried(made(method, rules), 30, rules=rules):
            assert list(chain) == sorted(set(chain))


def test_a_search_without_skips_never_skips_and_one_layer_is_enough() -> None:
    rules = Rules(6, skips_and_repeats([], [(1, 2), (2, 2)]))
    for method in set(SEARCHES) - {"removal"}:
        found = tried(made(method, rules), 20, rules=rules)
        assert len(found) == 20 and all(set(chain) == set(rules.full) for chain in found)
    for method in SEARCHES:
        assert all(tried(made(method, Rules(1)), 5, len, Rules(1)))
