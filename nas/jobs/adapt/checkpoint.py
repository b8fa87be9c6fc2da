"""Writes decoders as checkpoints that the `transformers` package loads."""

import json
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor, nn

from search_spaces.layer_chain.llama import EPSILON, ROTATION, Llama

NAMES = {
    "attention_norm": "input_layernorm",
    "attention.query": "self_attn.q_proj",
    "attention.key": "self_attn.k_proj",
    "attention.value": "self_attn.v_proj",
    "attention.output": "self_attn.o_proj",
    "inner_norm": "post_attention_layernorm",
    "gate": "mlp.gate_proj",
    "up": "mlp.up_proj",
    "down": "mlp.down_proj",
}


def write_checkpoint(model: nn.Module, folder: Path) -> None:
    """Write `config.json` and `model.safetensors` of a `Llama` or a `transformers` model."""
    folder.mkdir(parents=True, exist_ok=True)
    if not isinstance(model, Llama):
        model.save_pretrained(folder)  # type: ignore[operator]
        return
    weights = {
        "model.embed_tokens.weight": model.embedding.weight,
        "model.norm.weight": model.norm.weight,
    }
    for i, layer in enumerate(model.stack):
        for ours, theirs in NAMES.items():
            weight = layer.get_parameter(f"{ours}.weight")
            if ours in ("attention.query", "attention.key"):
                weight = _halves(weight, model.size.head)
            weights[f"model.layers.{i}.{theirs}.weight"] = weight
    save_file(
        {name: weight.detach().cpu().contiguous().clone() for name, weight in weights.items()},
        folder / "model.safetensors",
        metadata={"format": "pt"},
    )
    (folder / "config.json").write_text(json.dumps(_config(model), indent=1))


def _halves(weight: Tensor, head: int) -> Tensor:
    """Reorder the rows of rotated heads: pairs are neighbours here, half a head apart there."""
    return weight.view(-1, head // 2, 2, weight.shape[1]).transpose(1, 2).reshape(weight.shape)


def _config(model: Llama) -> dict[str, Any]:
    size = model.size
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": size.tokens,
        "hidden_size": size.width,
        "intermediate_size": size.inner,
        "num_hidden_layers": size.layers,
        "num_attention_heads": size.heads,
        "num_key_value_heads": size.key_heads,
        "hidden_act": "silu",
        "rms_norm_eps": EPSILON,
        "rope_theta": ROTATION,
        "max_position_embeddings": 2048,
        "tie_word_embeddings": True,
        "attention_bias": False,
        "mlp_bias": False,
        "dtype": str(model.embedding.weight.dtype).removeprefix("torch."),
    }
