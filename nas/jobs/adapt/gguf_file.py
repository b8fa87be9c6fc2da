"""Writes exported decoders as GGUF files, for llama.cpp, with the package `gguf`.

llama.cpp's own conversion (convert_hf_to_gguf.py) is the source of the names and of the order of
rows: in its architecture "llama" rotated pairs are neighbours, in `transformers` half a head apart.
"""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from nas.core.errors import BadInput

FILE = "model.gguf"
FAMILIES = {"llama": "LLAMA", "mistral": "LLAMA", "qwen2": "QWEN2", "qwen3": "QWEN3"}
SPLITTERS = {"qwen2": "qwen2", "qwen3": "qwen2"}  # how llama.cpp cuts a text before merging
LLAMA3_TOKENS = 128256


def check_gguf(config: dict[str, Any]) -> None:
    """Raise `BadInput` if a model with this configuration cannot be written as GGUF."""
    if find_spec("gguf") is None:
        raise BadInput("--gguf needs gguf: pip install gguf")
    family = config.get("model_type")
    if family not in FAMILIES:
        raise BadInput(f"--gguf can write {', '.join(FAMILIES)}, not {family}: leave it out")
    scaled = (config.get("rope_parameters") or {}).get("rope_type", "default")
    if scaled != "default":
        raise BadInput(f'--gguf cannot write rotations of the type "{scaled}": leave it out')
    if config.get("sliding_window") and config.get("use_sliding_window", True):
        raise BadInput("--gguf cannot write sliding windows: leave it out")


def write_gguf(folder: Path) -> None:
    """Write `model.gguf` beside an exported checkpoint.

    Raises `BadInput` as `check_gguf` does, and `ValueError` for weights without a name in GGUF.
    """
    import gguf

    config = json.loads((folder / "config.json").read_text())
    check_gguf(config)
    arch = gguf.MODEL_ARCH[FAMILIES[config["model_type"]]]
    names = gguf.get_tensor_name_map(arch, config["num_hidden_layers"])
    writer = gguf.GGUFWriter(folder / FILE, gguf.MODEL_ARCH_NAMES[arch])
    _add_settings(writer, config)
    _add_tokenizer(writer, folder, config)
    for place, tensor in _weights(folder).items():
        name = names.get_name(place, try_suffixes=(".weight", ".bias"))
        if name is None:
            raise ValueError(f"{place} has no name in GGUF")
        _add(writer, name, _ordered(place, tensor, config))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _weights(folder: Path) -> dict[str, Tensor]:
    return {
        name: tensor
        for file in sorted(folder.glob("*.safetensors"))
        for name, tensor in load_file(file).items()
    }


def _head(config: dict[str, Any]) -> int:
    """Return the features per head."""
    return config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]


def _add_settings(writer: Any, config: dict[str, Any]) -> None:
    rotation = config.get("rope_parameters") or config
    head = _head(config)
    writer.add_name(config.get("_name_or_path") or config["model_type"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_rope_dimension_count(head)
    writer.add_rope_freq_base(rotation["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])


def _add_tokenizer(writer: Any, folder: Path, config: dict[str, Any]) -> None:
    """Add the tokenizer of the folder; a decoder that was trained here has none."""
    import gguf

    if not (folder / "tokenizer.json").exists():
        writer.add_tokenizer_model("no_vocab")
        return
    model = json.loads((folder / "tokenizer.json").read_text())["model"]
    if model["type"] != "BPE":
        raise ValueError(f'its tokenizer is of the type "{model["type"]}", not BPE')
    if model.get("byte_fallback"):
        words = list(gguf.LlamaHfVocab(folder).all_tokens())
        writer.add_tokenizer_model("llama")
        writer.add_token_list([text for text, _, _ in words])
        writer.add_token_scores([score for _, score, _ in words])
        writer.add_token_types([kind for _, _, kind in words])
    else:
        tokens, kinds = _byte_tokens(folder, config["vocab_size"])
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(_splitter(config))
        writer.add_token_list(tokens)
        writer.add_token_types(kinds)
    count = config["vocab_size"]
    merges = not model.get("byte_fallback")
    gguf.SpecialVocab(folder, load_merges=merges, n_vocab=count).add_to_gguf(writer, quiet=True)


def _byte_tokens(folder: Path, count: int) -> tuple[list[str], list[int]]:
    """Return the texts and kinds of all tokens; numbers without a token are unused."""
    from gguf import TokenType
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokens, kinds = [f"[PAD{i}]" for i in range(count)], [int(TokenType.UNUSED)] * count
    special, added = set(tokenizer.all_special_tokens), tokenizer.get_added_vocab()
    for text, number in tokenizer.get_vocab().items():
        tokens[number], kinds[number] = text, int(TokenType.NORMAL)
        if text in special:
            kinds[number] = int(TokenType.CONTROL)
        elif text in added:
            kinds[number] = int(TokenType.USER_DEFINED)
    return tokens, kinds


def _splitter(config: dict[str, Any]) -> str:
    if config["model_type"] == "llama" and config["vocab_size"] == LLAMA3_TOKENS:
        return "llama-bpe"
    return SPLITTERS.get(config["model_type"], "default")


def _ordered(place: str, tensor: Tensor, config: dict[str, Any]) -> Tensor:
    """Return rows of rotated heads in llama.cpp's order."""
    rotated = ".q_proj." in place or ".k_proj." in place
    if not rotated or FAMILIES[config["model_type"]] != "LLAMA":
        return tensor
    halves = tensor.view(-1, 2, _head(config) // 2, *tensor.shape[1:])
    return halves.transpose(1, 2).reshape(tensor.shape)


def _add(writer: Any, name: str, tensor: Tensor) -> None:
    """Add a tensor in its dtype; vectors in float32, which llama.cpp expects."""
    import gguf

    if tensor.dtype == torch.bfloat16 and tensor.dim() > 1:
        kind = gguf.GGMLQuantizationType.BF16
        writer.add_tensor(name, gguf.quantize(tensor.float().numpy(), kind), raw_dtype=kind)
    else:
        writer.add_tensor(name, (tensor if tensor.dim() > 1 else tensor.float()).numpy())
