"""Turns a chain into a separate network with the layers that it calls, in its order."""

from copy import deepcopy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from search_spaces.layer_chain.chain import Chain, checked
from search_spaces.layer_chain.llama import Llama
from search_spaces.layer_chain.pretrained import layers_of

LAYERED = ("layer_types", "mlp_layer_types", "no_rope_layers")  # a configuration's lists by layer


def shortened(model: nn.Module, chain: Chain) -> nn.Module:
    """Return a network of the same family with copies of the chain's layers.

    model: a `Llama` or a causal language model of the `transformers` package.
    Raises `ValueError` for a chain that cannot be called.
    """
    if isinstance(model, Llama):
        checked(chain, model.layers)
        size = replace(model.size, layers=len(chain))
        short: nn.Module = Llama(size, torch.Generator())
        place = "stack"
    else:
        layers = layers_of(model)
        checked(chain, len(layers))
        config: Any = deepcopy(model.config)
        config.num_hidden_layers = len(chain)
        for name in LAYERED:
            if isinstance(kinds := getattr(config, name, None), list):
                setattr(config, name, [kinds[layer] for layer in chain])
        short = type(model)(config).to(next(model.parameters()).dtype)
        place = next(name for name, module in model.named_modules() if module is layers)
    short.load_state_dict(_renamed(model.state_dict(), f"{place}.", chain))
    return short.requires_grad_(False).eval()


def _renamed(weights: dict[str, Tensor], prefix: str, chain: Chain) -> dict[str, Tensor]:
    """Return the state with the chain's layers under their new numbers, and everything else."""
    kept = {name: value for name, value in weights.items() if not name.startswith(prefix)}
    for place, layer in enumerate(chain):
        old = f"{prefix}{layer}."
        for name, value in weights.items():
            if name.startswith(old):
                kept[f"{prefix}{place}.{name.removeprefix(old)}"] = value
    return kept
