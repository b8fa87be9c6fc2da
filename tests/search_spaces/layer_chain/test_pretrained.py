"""Tiny untrained models of the `transformers` package as decoders."""

import pytest
import torch

from search_spaces.layer_chain.decoder import Slot, generate, run_chain
from search_spaces.layer_chain.pretrained import Pretrained
from search_spaces.layer_chain.trie import PrefixTrie
from tests.search_spaces.layer_chain.models import random_chains, random_tokens

SIZES = {
    "vocab_size": 50,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 5,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "initializer_range": 0.2,
}
FAMILIES = {
    "Llama": SIZES,
    "Qwen2": SIZES,
    "GPT2": {
        "vocab_size": 50,
        "n_embd": 32,
        "n_layer": 5,
        "n_head": 4,
        "n_positions": 64,
        "initializer_range": 0.2,
    },
    "Qwen3": SIZES,
    "Mistral": {**SIZES, "sliding_window": 4},
    "Gemma": SIZES,
    "Gemma2": {**SIZES, "sliding_window": 4, "query_pre_attn_scalar": 8},
    "Olmoe": {**SIZES, "num_experts": 4, "num_experts_per_tok": 2},
}
EVERY_FAMILY = pytest.mark.parametrize("family", FAMILIES)


def tiny(family: str) -> Pretrained:
    transformers = pytest.importorskip("transformers")
    config = getattr(transformers, f"{family}Config")(**FAMILIES[family])
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config)
    return Pretrained(model.requires_grad_(False))


@EVERY_FAMILY
def test_the_full_chain_equals_the_model(family: str) -> None:
    decoder, tokens = tiny(family), random_tokens(2, 9)
    logits = run_chain(decoder, tokens, range(decoder.layers))
    assert torch.equal(logits, decoder.model(tokens).logits)


@EVERY_FAMILY
def test_generation_is_the_same_with_and_without_a_cache(family: str) -> None:
    decoder, tokens = tiny(family), random_tokens(1, 3)
    for chain in random_chains(decoder.layers, 50 if family in ("Llama", "Qwen2", "GPT2") else 5):
        cached = generate(decoder, tokens, chain, 6)
        assert torch.equal(cached, generate(decoder, tokens, chain, 6, cached=False)), chain


@EVERY_FAMILY
def test_logits_are_the_same_with_and_without_a_cache(family: str) -> None:
    decoder, tokens = tiny(family), random_tokens(2, 9)
    for chain in random_chains(decoder.layers, 5):
        slots = [Slot() for _ in chain]
        parts = [run_chain(decoder, tokens[:, :end], chain, slots) for end in (3, 7, 8, 9)]
        direct = run_chain(decoder, tokens, chain)
        torch.testing.assert_close(torch.cat(parts, dim=1), direct, rtol=1e-4, atol=1e-4)


@EVERY_FAMILY
def test_the_trie_gives_the_logits_of_each_chain(family: str) -> None:
    decoder, tokens = tiny(family), random_tokens(2, 9)
    requests = [(i % 2, chain) for i, chain in enumerate(random_chains(decoder.layers, 50))]
    trie = PrefixTrie(decoder, tokens, 2**20)
    for (row, chain), logits in zip(requests, trie.run(requests), strict=True):
        direct = run_chain(decoder, tokens[row : row + 1], chain)[0]
        torch.testing.assert_close(logits, direct, rtol=1e-4, atol=1e-4)
    assert trie.layer_calls < sum(len(chain) for _, chain in requests)


def test_use_does_not_change_the_model() -> None:
    decoder, tokens = tiny("Llama"), random_tokens(1, 4)
    run_chain(decoder, tokens, (0, 0, 4))
    assert all("forward" not in vars(layer) for layer in decoder.stack)


def test_a_model_that_is_not_causal_is_refused() -> None:
    transformers = pytest.importorskip("transformers")
    sizes = {**SIZES, "num_hidden_layers": 2}
    del sizes["num_key_value_heads"], sizes["head_dim"]
    model = transformers.AutoModelForCausalLM.from_config(transformers.BertConfig(**sizes))
    with pytest.raises(ValueError, match="BertLMHeadModel is not causal"):
        Pretrained(model)
