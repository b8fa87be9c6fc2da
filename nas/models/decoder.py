"""A small decoder of tokens, deep for its size, to try chains of layers on."""

import torch

from search_spaces.layer_chain.llama import Llama, LlamaSize


def llama8(classes: int = 28, channels: int = 28) -> Llama:
    """Eight layers of width 64 with four heads; as many answers (classes) as tokens (channels).

    Raises `ValueError` where the two differ: the embedding is also the head.
    """
    if classes != channels:
        raise ValueError(f"a decoder has as many answers as tokens, not {classes} and {channels}")
    seed = int(torch.randint(2**31, ()))
    size = LlamaSize(tokens=channels, width=64, layers=8, heads=4, key_heads=4, inner=128)
    return Llama(size, torch.Generator().manual_seed(seed))
