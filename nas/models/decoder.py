"""A small token decoder, deep for its size, for trying out chains of layers."""

import torch

from search_spaces.layer_chain.llama import Llama, LlamaSize


def llama8(classes: int = 28, channels: int = 28) -> Llama:
    """Return a decoder of eight layers of width 64 with four heads.

    The embedding is also the head: raises `ValueError` unless `classes` equals `channels`.
    """
    if classes != channels:
        raise ValueError(
            f"a decoder needs as many classes as tokens, not {classes} and {channels}: "
            "use a language-model task"
        )
    return small_decoder(8, channels)


def small_decoder(layers: int, tokens: int) -> Llama:
    """Return a decoder of width 64 with four heads, its weights drawn from PyTorch's generator."""
    seed = int(torch.randint(2**31, ()))
    size = LlamaSize(tokens=tokens, width=64, layers=layers, heads=4, key_heads=4, inner=128)
    return Llama(size, torch.Generator().manual_seed(seed))
