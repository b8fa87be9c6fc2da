"""Measures how much each layer of a decoder changes its hidden states."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from search_spaces.layer_chain.decoder import Decoder


class Influence(NamedTuple):
    """The influence of layers and of stretches of layers.

    blocks: per layer, one minus the mean cosine of its input and output over all tokens (block
        influence, Men et al. 2024, https://arxiv.org/abs/2403.03853, eq. 1).
    angles: `[layers + 1, layers + 1]`, between the inputs of two layers, or the final output, at
        the last token, in half turns (Gromov et al. 2024, https://arxiv.org/abs/2403.17887, eq. 6).
    """

    blocks: Tensor
    angles: Tensor


@torch.no_grad()
def influence_of(decoder: Decoder, rows: Iterable[Sequence[int]]) -> Influence:
    """Measure the influence of a decoder's layers on rows of tokens."""
    layers, count = decoder.layers, 0
    cosines, tokens = torch.zeros(layers, dtype=torch.double), 0
    angles = torch.zeros(layers + 1, layers + 1, dtype=torch.double)
    for row in rows:
        hidden, around = decoder.enter(torch.tensor([row]))
        states = [hidden[0]]
        for layer in range(layers):
            hidden = decoder.call(layer, hidden, around)
            states.append(hidden[0])
        seen = torch.stack(states).cpu().double()  # [layers + 1, T, d]
        cosines += functional.cosine_similarity(seen[:-1], seen[1:], dim=-1).sum(dim=1)
        tokens, count = tokens + len(row), count + 1
        last = functional.normalize(seen[:, -1], dim=-1)
        angles += (last @ last.T).clamp(-1, 1).arccos() / torch.pi
    return Influence(1 - cosines / tokens, angles / count)
