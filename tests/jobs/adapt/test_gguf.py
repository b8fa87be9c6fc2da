"""Exported decoders as GGUF files, read again by `gguf`'s own reader."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from nas.core.errors import BadInput
from nas.jobs.adapt.checkpoint import write_checkpoint
from nas.jobs.adapt.export import FAILED, write_network
from nas.jobs.adapt.gguf_file import FILE, check_gguf, write_gguf
from search_spaces.layer_chain.shortened import shortened
from tests.jobs.adapt.words import byte_tokenizer
from tests.search_spaces.layer_chain.models import SIZE, random_tokens, small_llama

gguf = pytest.importorskip("gguf")


def read(folder: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Return the settings and the weights of a file, in float32."""
    reader = gguf.GGUFReader(folder / FILE)
    settings = {name: field.contents() for name, field in reader.fields.items()}
    weights = {
        t.name: torch.from_numpy(gguf.dequantize(t.data, t.tensor_type).copy())
        for t in reader.tensors
    }
    return settings, weights


def test_a_chain_of_ours_has_its_weights_and_settings(tmp_path: Path) -> None:
    chain = (0, 2, 2, 5)
    network, whole = shortened(small_llama(), chain), small_llama()
    write_network(network, tmp_path, random_tokens(2, 20), gguf=True)
    assert not (tmp_path / FAILED).exists()
    settings, weights = read(tmp_path)
    assert settings["llama.block_count"] == 4
    assert settings["llama.attention.head_count_kv"] == SIZE.key_heads
    assert settings["llama.rope.dimension_count"] == SIZE.head
    for place, layer in enumerate(chain):
        attention = whole.stack[layer].attention  # whose rotated pairs are neighbours, as there
        assert torch.equal(weights[f"blk.{place}.attn_q.weight"], attention.query.weight)
        assert torch.equal(weights[f"blk.{place}.attn_v.weight"], attention.value.weight)
    assert torch.equal(weights["token_embd.weight"], whole.embedding.weight)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_model_of_transformers_has_its_weights_and_its_tokenizer(
    dtype: torch.dtype, tmp_path: Path
) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.Qwen2Config(
        **{"vocab_size": 300, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2},
        **{"num_attention_heads": 4, "num_key_value_heads": 2, "tie_word_embeddings": False},
    )
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=dtype)
    write_checkpoint(model, tmp_path)
    byte_tokenizer(eos_token="z").save_pretrained(tmp_path)
    write_gguf(tmp_path)
    settings, weights = read(tmp_path)
    known = dict(model.named_parameters())
    for name, place in (("attn_k", "self_attn.k_proj"), ("ffn_down", "mlp.down_proj")):
        expected = known[f"model.layers.1.{place}.weight"].float()
        assert torch.equal(weights[f"blk.1.{name}.weight"], expected)
    assert len(weights) == len(known)
    assert settings["tokenizer.ggml.model"] == "gpt2"
    tokens = settings["tokenizer.ggml.tokens"]
    assert len(tokens) == 300 and tokens[299] == "[PAD299]"
    assert settings["tokenizer.ggml.eos_token_id"] == tokens.index("z")
    assert len(settings["tokenizer.ggml.merges"]) == 10


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "mamba"}, "--gguf can write llama, mistral, qwen2, qwen3, not mamba"),
        (
            {"model_type": "llama", "rope_parameters": {"rope_type": "yarn"}},
            'rotations of the type "yarn"',
        ),
        ({"model_type": "mistral", "sliding_window": 8}, "cannot write sliding windows"),
    ],
)
def test_what_it_cannot_name_is_refused(config: dict, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        check_gguf(config)


def test_a_tokenizer_that_it_cannot_write_keeps_the_checkpoint(tmp_path: Path) -> None:
    network = small_llama()
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": {"type": "Unigram"}}))
    write_network(network, tmp_path, random_tokens(2, 20), gguf=True)
    assert "model.gguf was not written: its tokenizer" in (tmp_path / FAILED).read_text()
    assert (tmp_path / "model.safetensors").exists()
