"""Translates a model's configuration to a chain of its layers.

Configurations describe layers in lists with one entry per layer, in lists of layer numbers, and by
rules such as "every second layer".
"""

from typing import Any

from torch import nn

from search_spaces.layer_chain.chain import Chain

COUNTS = (
    *("num_hidden_layers", "n_layer", "n_layers", "num_layers", "num_blocks"),
    *("encoder_layers", "decoder_layers", "num_decoder_layers"),
)
NUMBERED = ("mlp_only_layers", "moe_layers", "attn_layer_indices", "hybrid_layer_ids")
PLAIN = (bool, int, float, str, tuple, type(None))
RULES = (  # settings by a layer's number for which a configuration may have no list
    *("scale_attn_by_inverse_layer_idx", "first_k_dense_replace", "decoder_sparse_step"),
    *("num_dense_layers", "moe_layer_freq", "interleave_moe_layer_step", "num_kv_shared_layers"),
    *("attn_layer_period", "expert_layer_period", "cross_attention_layers", "rescale_every"),
    *("n_layers_per_attn_res_block", "indexer_types"),
)


def translated(config: Any, chain: Chain, layers: int) -> Any:
    """Return the configuration of a checkpoint with the chain's layers.

    config: describes `layers` layers.
    """
    written: dict[str, Any] = config.to_dict()
    text = config.get_text_config(decoder=True)
    if text is config:
        written |= _translated(text, written, chain, layers)
    else:
        name = next(name for name, value in vars(config).items() if value is text)
        written[name] |= _translated(text, written[name], chain, layers)
    found = type(config).from_dict(written | {"layer_chain": list(chain)})
    found._attn_implementation = config._attn_implementation
    found._name_or_path = config._name_or_path
    return found


def _translated(text: Any, written: dict[str, Any], chain: Chain, layers: int) -> dict[str, Any]:
    """Return the settings that change, by name."""
    changed: dict[str, Any] = {name: len(chain) for name in COUNTS if written.get(name) == layers}
    for name, value in written.items():
        if name in NUMBERED and isinstance(value, list):
            changed[name] = [i for i, layer in enumerate(chain) if layer in value]
        elif _is_by_layer(name, value, layers):
            changed[name] = [value[layer] for layer in chain]
    return changed | _by_rules(text, chain, layers)


def _by_rules(text: Any, chain: Chain, layers: int) -> dict[str, Any]:
    """Return rules as lists, where the configuration has a list for them."""
    changed: dict[str, Any] = {}
    if hasattr(text, "decoder_sparse_step") and hasattr(text, "mlp_only_layers"):
        step, dense = text.decoder_sparse_step, text.mlp_only_layers or []
        dense = [i for i in range(layers) if i in dense or (i + 1) % step]
        changed["mlp_only_layers"] = [i for i, layer in enumerate(chain) if layer in dense]
        changed["decoder_sparse_step"] = 1
    for name in ("first_k_dense_replace", "num_dense_layers"):
        if isinstance(dense := getattr(text, name, None), int):
            changed[name] = sum(layer < dense for layer in chain)
    if hasattr(text, "attention_types"):  # GPT-Neo
        changed["attention_types"] = [[[text.attention_layers[layer]], 1] for layer in chain]
    if hasattr(text, "block_types") and hasattr(text, "layers_block_type"):  # RecurrentGemma
        kinds = text.block_types
        changed["block_types"] = [kinds[layer % len(kinds)] for layer in chain]
    if overrides := text.to_dict().get("per_layer_config"):  # Gemma 4
        by_layer = {int(layer): value for layer, value in overrides.items()}
        changed["per_layer_config"] = {
            i: by_layer[layer] for i, layer in enumerate(chain) if layer in by_layer
        }
    return changed


def check_translation(layers: nn.ModuleList, short: nn.Module, chain: Chain) -> None:
    """Compare every layer of a shortened network with the layer that it stands for.

    Raises `ValueError` for a setting of a module that differs by more than its number.
    """
    for place, layer in enumerate(chain):
        old = dict(layers[layer].named_modules())
        new = dict(short.get_submodule(str(place)).named_modules())
        if [*map(type, old.values())] != [*map(type, new.values())]:
            raise ValueError(f"layer {layer} has another structure at place {place}")
        for name, module in new.items():
            for key, value in _plain(module).items():
                was = _plain(old[name]).get(key)
                if value != was and not _is_number(was, value, layer, place):
                    at = f"{name}.{key}".removeprefix(".")
                    raise ValueError(
                        f"{at} of layer {layer} is {was}, but {value} at place {place}"
                    )


def rules_of(model: nn.Module) -> str:
    """Return the settings of a model that depend on a layer's number, as "name=value"."""
    text: Any = model.config.get_text_config(decoder=True)  # type: ignore[union-attr, operator]
    known = ((name, getattr(text, name, None)) for name in RULES)
    return ", ".join(f"{name}={value}" for name, value in known if value not in (None, False, 0))


def _plain(module: nn.Module) -> dict[str, Any]:
    """Return a module's attributes that are plain values."""
    values = {k: v for k, v in vars(module).items() if k != "training" and not k.startswith("_")}
    return {k: v for k, v in values.items() if isinstance(v, PLAIN)}


def _is_number(was: Any, value: Any, layer: int, place: int) -> bool:
    """Return whether an attribute only counts layers."""
    counts = isinstance(was, int) and isinstance(value, int)
    return counts and was - layer == value - place


def _is_by_layer(name: str, value: Any, layers: int) -> bool:
    listed = isinstance(value, list | tuple) and len(value) == layers
    return listed and "token" not in name and not name.endswith("_ids")
