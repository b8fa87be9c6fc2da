"""Tiny models of every decoder family in `transformers`, and what is checked with each."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch

from nas.jobs.adapt.export import FAILED, write_network
from search_spaces.layer_chain.chain import Chain
from search_spaces.layer_chain.decoder import Slot, run_chain
from search_spaces.layer_chain.pretrained import Pretrained
from search_spaces.layer_chain.rounding import difference, tolerance
from search_spaces.layer_chain.shortened import shortened

LAYERS = 4
CHAINS: dict[str, Chain] = {"skip": (0, 2, 3), "loop": (0, 1, 2, 1, 2, 3), "reorder": (3, 0, 0, 1)}
MOST_PARAMETERS = 8_000_000
SLOW = ("falcon_h1",)  # its plain PyTorch scan takes seconds per token
SIZES: dict[str, int] = {
    **dict.fromkeys(("hidden_size", "d_model", "n_embd", "dim", "embedding_size", "emb_dim"), 32),
    **dict.fromkeys(("intermediate_size", "ffn_dim", "n_inner", "d_ff", "ffn_hidden_size"), 48),
    **dict.fromkeys(("decoder_ffn_dim", "encoder_ffn_dim", "intermediate_size_mlp", "dff"), 48),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers"), LAYERS),
    **dict.fromkeys(("decoder_layers", "encoder_layers"), LAYERS),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads"), 4),
    **dict.fromkeys(("decoder_attention_heads", "encoder_attention_heads"), 4),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"), 4),
    **dict.fromkeys(("moe_intermediate_size", "shared_expert_intermediate_size"), 16),
    **dict.fromkeys(("shared_intermediate_size", "kv_lora_rank", "q_lora_rank"), 16),
    **dict.fromkeys(("qk_rope_head_dim", "qk_nope_head_dim", "v_head_dim", "head_dim"), 8),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "max_seq_len", "vocab_size"), 64),
    **dict.fromkeys(("n_group", "topk_group"), 1),
    **{"word_embed_proj_dim": 16, "num_key_value_heads": 2, "num_experts_per_tok": 2},
    **{"sliding_window": 4, "state_size": 8},
    **{"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2},
}
LATENT = {"num_key_value_heads": 4, "first_k_dense_replace": 1}
SPECIAL: dict[str, dict[str, Any]] = {
    "gemma3n_text": {
        **{"num_kv_shared_layers": 0, "vocab_size_per_layer_input": 64, "altup_num_inputs": 3},
        **{"hidden_size_per_layer_input": 8, "laurel_rank": 4},
        "layer_types": ["sliding_attention", "full_attention"] * 2,
        "activation_sparsity_pattern": [0.95, 0.0, 0.95, 0.0],
    },
    "gemma4_text": {
        **{"num_kv_shared_layers": 0, "vocab_size_per_layer_input": 64, "global_head_dim": 8},
        "hidden_size_per_layer_input": 8,
    },
    "gpt_neo": {"attention_types": [[["global", "local"], 2]], "window_size": 4},
    **{name: {"rotary_dim": 4} for name in ("gptj", "codegen")},
    **dict.fromkeys(("deepseek_v2", "deepseek_v3", "glm4_moe_lite"), LATENT),
    **{name: {"num_key_value_heads": 4} for name in ("minicpm3", "youtu")},
    "mamba2": {"expand": 2, "num_heads": 8, "head_dim": 8, "n_groups": 1},
    **{name: {"head_dim": 8} for name in ("hunyuan_v1_dense", "ministral", "nemotron")},
    "lfm2": {"layer_types": ["conv", "full_attention"] * 2},
    "jamba": {
        **{"attn_layer_period": 2, "attn_layer_offset": 1, "mamba_d_state": 8, "mamba_dt_rank": 4},
        "use_mamba_kernels": False,
    },
}


class Cell(NamedTuple):
    """A family with a dtype and a chain. result: "equal", or why not."""

    family: str
    dtype: str
    chain: str
    cached: bool
    result: str


def families() -> list[str]:
    """Return the names of the causal language models that `transformers` has."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    return [name for name in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES if name not in SLOW]


def tiny_model(family: str, dtype: torch.dtype) -> Any:
    """Return a random model; its weights are large enough that every layer matters.

    Raises `ValueError` if these sizes do not make a small model.
    """
    from transformers import CONFIG_MAPPING, AutoModelForCausalLM

    kind, special = CONFIG_MAPPING[family], SPECIAL.get(family, {})
    known = kind().to_dict()
    sizes = {name: size for name, size in SIZES.items() if isinstance(known.get(name), int)}
    config = kind(**{**sizes, **special})
    with torch.device("meta"):
        size = sum(p.numel() for p in AutoModelForCausalLM.from_config(config).parameters())
    if size > MOST_PARAMETERS:
        raise ValueError(f"{size} parameters")
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, dtype=dtype).requires_grad_(False).eval()
    for name, parameter in model.named_parameters():
        random = torch.randn(parameter.shape)
        if parameter.dim() > 1:
            parameter.copy_(random * 1.5 / parameter.shape[-1] ** 0.5)
        elif "norm" in name:
            parameter.add_((0.3 * random).to(dtype))
    model(torch.randint(3, 60, (2, 7)), use_cache=False)
    return model


def cells_of(family: str, dtype: torch.dtype, folder: Path) -> Iterator[Cell]:
    """Check all chains of a family; yields one cell for each, or one if there is no model."""
    name = str(dtype).removeprefix("torch.")
    try:
        model = tiny_model(family, dtype)
    except Exception as error:
        yield Cell(family, name, "", False, f"no tiny model: {_line(error)}")
        return
    try:
        decoder = Pretrained(model)
    except ValueError as error:
        yield Cell(family, name, "", False, f"refused: {_line(error)}")
        return
    for kind, chain in CHAINS.items():
        result = _result(lambda chain=chain: _check(decoder, chain, folder))
        yield Cell(family, name, kind, decoder.cacheable, result)


def _result(check: Callable[[], str]) -> str:
    try:
        return check()
    except ValueError as error:
        return f"refused: {_line(error)}"


@torch.no_grad()
def _check(decoder: Pretrained, chain: Chain, folder: Path) -> str:
    """Compare a chain with its slots, its network, and its checkpoint."""
    tokens = torch.randint(3, 60, (3, 9), generator=torch.Generator().manual_seed(1))
    expected = run_chain(decoder, tokens, chain)
    network = shortened(decoder.model, chain)
    found = {"network": network(tokens).logits}
    if decoder.cacheable:
        slots = [Slot() for _ in chain]
        parts = [run_chain(decoder, tokens[:, :end], chain, slots) for end in (4, 8, 9)]
        found["slots"] = torch.cat(parts, dim=1)
    for name, logits in found.items():
        gap, most = difference(logits, expected), tolerance(expected)
        if gap > (4 if name == "slots" else 1) * most or logits.dtype != expected.dtype:
            return f"DIFFERS in {name} by {gap:.2g} of {float(expected.abs().max()):.2g}"
    write_network(network, folder, tokens)
    failed = folder / FAILED
    return f"export failed: {_line(failed.read_text())}" if failed.exists() else "equal"


def _line(error: object) -> str:
    return " ".join(str(error).split())[:240]
