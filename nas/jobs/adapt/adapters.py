"""Low-rank adapters (Hu et al. 2021, https://arxiv.org/abs/2106.09685) of the `peft` package."""

from typing import Any

import torch
from torch import nn

RANK = 8


def with_adapters(network: nn.Module, seed: int) -> Any:
    """Return the network with an adapter at every projection of its layers, and the rest frozen."""
    from peft import (  # pyright: ignore[reportMissingImports]
        LoraConfig,
        get_peft_model,
    )

    head = getattr(network, "get_output_embeddings", lambda: None)()
    names = [
        name
        for name, module in network.named_modules()
        if (isinstance(module, nn.Linear) or type(module).__name__ == "Conv1D")
        and module is not head
    ]
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        settings = LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules=names)
        return get_peft_model(network, settings)  # type: ignore[arg-type]


def merged(adapted: Any) -> nn.Module:
    """Return the network with its adapters added to its weights."""
    return adapted.merge_and_unload()
