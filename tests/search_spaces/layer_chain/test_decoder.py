"""Running chains on decoders, with and without a cache."""

import pytest
import torch

from search_spaces.layer_chain.decoder import Slot, generate, run_chain
from tests.search_spaces.layer_chain.models import (
    EXACT,
    llama,
    random_chains,
    random_tokens,
    small_llama,
)


@pytest.mark.parametrize("trained", [False, True])
def test_generation_is_the_same_with_and_without_a_cache(
    trained: bool, request: pytest.FixtureRequest
) -> None:
    model, tokens = llama(trained, request), random_tokens(2, 5)
    chains = random_chains(model.layers, 50)
    assert any(len(set(chain)) < len(chain) for chain in chains)
    assert any(0 not in chain for chain in chains)
    for chain in chains:
        assert torch.equal(
            generate(model, tokens, chain, 8), generate(model, tokens, chain, 8, cached=False)
        ), chain


def test_logits_are_the_same_with_and_without_a_cache() -> None:
    model, tokens = small_llama().double(), random_tokens(2, 12)
    for chain in random_chains(model.layers, 50):
        slots = [Slot() for _ in chain]
        parts = [run_chain(model, tokens[:, :end], chain, slots) for end in (5, 6, 9, 12)]
        direct = run_chain(model, tokens, chain)
        torch.testing.assert_close(torch.cat(parts, dim=1), direct, **EXACT)


def test_each_call_of_a_looped_layer_has_its_own_slot() -> None:
    model, tokens = small_llama(), random_tokens(1, 4)
    slots = [Slot() for _ in range(3)]
    run_chain(model, tokens, (2, 2, 5), slots)
    assert [slot.get_seq_length() for slot in slots] == [4, 4, 4]
    assert slots[0].bytes == 2 * 2 * 4 * 8 * 4  # keys and values of 2 heads, 4 steps, 8 floats
    first, second = (slot.held for slot in slots[:2])
    assert first is not None
    assert second is not None
    assert not torch.equal(first[0], second[0])


def test_the_full_chain_equals_the_model() -> None:
    model, tokens = small_llama(), random_tokens(2, 7)
    assert torch.equal(run_chain(model, tokens, range(model.layers)), model(tokens))


def test_padding_on_the_right_does_not_change_earlier_positions() -> None:
    model, tokens = small_llama().double(), random_tokens(2, 7)
    padded = torch.cat([tokens, tokens.new_zeros(2, 3)], dim=1)
    for chain in random_chains(model.layers, 5):
        short, long = run_chain(model, tokens, chain), run_chain(model, padded, chain)
        torch.testing.assert_close(long[:, :7], short, **EXACT)


@pytest.mark.parametrize("chain", [(), (0, 6), (-1,)])
def test_an_impossible_chain_is_refused(chain: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"chain is empty|does not exist"):
        run_chain(small_llama(), random_tokens(1, 2), chain)
