"""Chains without a decoder."""

import numpy as np
import pytest

from search_spaces.decisions import at_random, enumerated, replayed
from search_spaces.layer_chain.chain import Chain, Edit, Rules, checked, skips_and_repeats

SMALL = skips_and_repeats([1, 2], [(1, 2)])


def within(rules: Rules, edits: int) -> set[Chain]:
    """Return all chains that at most `edits` edits lead to."""
    reached = {rules.full}
    for _ in range(edits):
        reached |= {other for chain in reached for other in rules.neighbours(chain)}
    return reached


def test_an_edit_skips_or_repeats_a_block() -> None:
    assert Edit(2, 0).apply((0, 1, 2, 3), 1) == (0, 3)
    assert Edit(2, 3).apply((0, 1, 2, 3), 1) == (0, 1, 2, 1, 2, 1, 2, 3)


@pytest.mark.parametrize(("block", "times"), [(1, 1), (0, 2), (2, -1)])
def test_what_changes_nothing_is_no_edit(block: int, times: int) -> None:
    with pytest.raises(ValueError, match="an edit needs block at least 1"):
        Edit(block, times)


def test_starts_lead_to_every_chain_once() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        chain = tuple(int(layer) for layer in rng.integers(0, 3, size=rng.integers(1, 9)))
        for edit in (Edit(1, 0), Edit(2, 0), Edit(3, 0), Edit(1, 2), Edit(2, 2), Edit(3, 4)):
            every = [edit.apply(chain, s) for s in range(len(chain) - edit.block + 1)]
            found = [edit.apply(chain, s) for s in edit.starts(chain)]
            assert len(found) == len(set(found))
            assert set(found) == set(every)
            assert chain not in found


@pytest.mark.parametrize(("edits", "chains", "calls"), [(1, 84, 2_298), (2, 3_300, 88_426)])
def test_28_layers_have_the_counted_number_of_chains(edits: int, chains: int, calls: int) -> None:
    found = within(Rules(28, SMALL), edits)
    assert len(found) == chains
    assert sum(map(len, found)) == calls


def test_decisions_reach_exactly_the_chains_that_edits_reach() -> None:
    rules = Rules(4, SMALL, most=2, shortest=2, longest=5)
    decided = {chain for chain, _ in enumerated(rules.decide)}
    assert decided == within(rules, 2)
    assert {len(chain) for chain in decided} == {2, 3, 4, 5}


def test_chains_stay_within_their_limits() -> None:
    rules = Rules(6, most=8, shortest=3, longest=9)
    lengths = {len(rules.decide(at_random(np.random.default_rng(seed)))) for seed in range(200)}
    assert lengths <= set(range(3, 10))
    assert {3, 9} <= lengths


def test_without_edits_the_chain_is_full() -> None:
    assert Rules(3).decide(replayed({"edit/0/kind": 0})) == (0, 1, 2)


def test_limits_must_include_the_full_chain() -> None:
    with pytest.raises(ValueError, match="the full chain has 4 calls"):
        Rules(4, shortest=5)
    with pytest.raises(ValueError, match="longest to at least 4"):
        Rules(4, longest=3)


def test_the_refusal_of_an_impossible_chain_gives_the_reason() -> None:
    assert checked([2, 0, 0], 3) == (2, 0, 0)
    with pytest.raises(ValueError, match="the chain is empty"):
        checked((), 3)
    with pytest.raises(ValueError, match=r"layer 3 does not exist: the decoder has 3 layers"):
        checked((0, 3), 3)
