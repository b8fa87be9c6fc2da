"""Chains that run together give the same results as alone, with fewer calls."""

import pytest
import torch

from search_spaces.layer_chain.chain import Chain, Rules, skips_and_repeats
from search_spaces.layer_chain.decoder import run_chain
from search_spaces.layer_chain.trie import PrefixTrie
from tests.search_spaces.layer_chain.models import (
    EXACT,
    llama,
    random_chains,
    random_tokens,
    small_llama,
)

MUCH = 2**30


@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize("states", [4, 11, 40, 10_000])
def test_it_equals_running_each_chain_alone(
    trained: bool, states: int, request: pytest.FixtureRequest
) -> None:
    model, tokens = llama(trained, request).double(), random_tokens(3, 6)
    trie = PrefixTrie(model, tokens, states * 6 * model.size.width * 8)
    requests = [(i % 3, chain) for i, chain in enumerate(random_chains(model.layers, 50))]
    for asked in (requests[:30], requests[20:]):  # the second time, some prefixes are cached
        for (row, chain), logits in zip(asked, trie.run(asked), strict=True):
            direct = run_chain(model, tokens[row : row + 1], chain)[0]
            torch.testing.assert_close(logits, direct, **EXACT)
    assert trie.peak_bytes <= states * trie.state_bytes


class Counting:
    """A decoder that counts its calls, and whose layers add a fraction given by their number."""

    layers = 28
    tokens = 1
    cacheable = False

    def __init__(self) -> None:
        self.rows: list[int] = []

    def enter(self, tokens, last=None):
        return tokens.double().unsqueeze(-1), None

    def call(self, layer, hidden, around, slot=None, rows=None):
        self.rows.append(len(hidden))
        return hidden * 0.9 + layer

    def logits(self, hidden, options=None):
        return hidden


def two_edits() -> list[Chain]:
    rules = Rules(28, skips_and_repeats([1, 2], [(1, 2)]))
    one = [rules.full, *rules.neighbours(rules.full)]
    return list(dict.fromkeys([*one, *(far for near in one for far in rules.neighbours(near))]))


def prefixes(chains: list[Chain]) -> set[Chain]:
    return {chain[:end] for chain in chains for end in range(1, len(chain) + 1)}


def test_every_prefix_runs_once_in_a_batch_with_others_of_its_layer_and_depth() -> None:
    decoder, chains = Counting(), two_edits()
    trie = PrefixTrie(decoder, torch.zeros(1, 1), MUCH)
    answers = trie.run([(0, chain) for chain in chains])
    distinct = prefixes(chains)
    batches = {(len(prefix), prefix[-1]) for prefix in distinct}
    assert sum(decoder.rows) == trie.layer_calls == len(distinct)
    assert len(decoder.rows) == trie.launches == len(batches)
    assert 100 * len(batches) < 3 * len(distinct) < sum(map(len, chains)) + 1
    expected = 0.0
    for layer in chains[1234]:
        expected = expected * 0.9 + layer
    assert answers[1234].item() == pytest.approx(expected)


def test_less_memory_costs_more_calls_and_is_not_exceeded() -> None:
    chains, calls = two_edits(), []
    for states in (40, 400, 4_000):
        trie = PrefixTrie(Counting(), torch.zeros(1, 1), states * 8)
        trie.run([(0, chain) for chain in chains])
        assert trie.peak_bytes <= states * 8
        calls.append(trie.layer_calls)
    assert sum(map(len, chains)) > calls[0] > calls[1] > calls[2] >= len(prefixes(chains))


def test_cached_states_are_not_computed_again() -> None:
    trie = PrefixTrie(Counting(), torch.zeros(2, 1), MUCH)
    trie.run([(0, (0, 1, 2, 3))])
    trie.run([(0, (0, 1, 2, 3)), (0, (0, 1, 2))])
    assert trie.layer_calls == 4
    trie.run([(0, (0, 1, 5))])
    assert trie.layer_calls == 5
    trie.run([(1, (0, 1))])  # another sample shares batches, not states
    assert trie.layer_calls == 7


def test_samples_share_batches() -> None:
    decoder = Counting()
    trie = PrefixTrie(decoder, torch.zeros(3, 1), MUCH)
    trie.run([(row, (4, 2)) for row in range(3)])
    assert decoder.rows == [3, 3]


def test_a_reader_can_take_less_than_all_logits() -> None:
    model, tokens = small_llama(), random_tokens(2, 6)
    ends = torch.tensor([3, 5])
    trie = PrefixTrie(model, tokens, MUCH)
    first, second = trie.run(
        [(1, (0, 1)), (0, (2,))],
        lambda hidden, rows: model.logits(hidden[range(len(rows)), ends[rows]]),
    )
    torch.testing.assert_close(first, run_chain(model, tokens, (0, 1))[1, 5])
    torch.testing.assert_close(second, run_chain(model, tokens, (2,))[0, 3])


def test_the_refusal_of_too_little_memory_says_how_much_is_needed() -> None:
    with pytest.raises(ValueError, match="allow at least 32"):
        PrefixTrie(Counting(), torch.zeros(1, 1), 31)
    with pytest.raises(ValueError, match="layer 28 does not exist"):
        PrefixTrie(Counting(), torch.zeros(1, 1), MUCH).run([(0, (28,))])
