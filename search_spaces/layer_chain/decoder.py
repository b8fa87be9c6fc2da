"""A decoder whose layers are called one by one, in any order and any number of times.

Keys and values are kept a call, not a layer: two calls of one layer that share a cache slot read
each other's keys, and a chain without layer 0 finds no slot at all.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from search_spaces.layer_chain.chain import Chain, checked


class Slot:
    """Keys and values of one call, `[B, heads, T, head]`, longer by every step.

    It has what attention of the `transformers` package needs of a cache.
    """

    def __init__(self) -> None:
        self.held: tuple[Tensor, Tensor] | None = None

    def update(self, keys: Tensor, values: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Append those of the new positions; returns those of all positions."""
        if self.held is not None:
            keys = torch.cat([self.held[0], keys], dim=-2)
            values = torch.cat([self.held[1], values], dim=-2)
        self.held = keys, values
        return self.held

    def get_seq_length(self, *_: Any) -> int:
        return 0 if self.held is None else self.held[0].shape[-2]

    @property
    def bytes(self) -> int:
        return 0 if self.held is None else sum(t.nbytes for t in self.held)


class Decoder(Protocol):
    """What is needed of a causal language model."""

    @property
    def layers(self) -> int: ...

    def enter(self, tokens: Tensor, last: int | None = None) -> tuple[Tensor, Any]:
        """What the first call is given.

        tokens: `[B, T]`; shorter sequences are padded on their right, where nobody looks back.
        last: how many positions from the end are wanted; None: all.
        Returns hidden states `[B, last, d]`, and what every call needs besides, such as masks
        and rotations; it is the same for all rows, so that rows of hidden states may be stacked.
        """
        ...

    def call(self, layer: int, hidden: Tensor, around: Any, slot: Slot | None = None) -> Tensor:
        """hidden `[N, T, d]` → `[N, T, d]`; a slot holds the positions before those of hidden."""
        ...

    def logits(self, hidden: Tensor) -> Tensor:
        """hidden `[N, T, d]` after the last call → `[N, T, tokens]`."""
        ...


@torch.no_grad()
def run_chain(
    decoder: Decoder, tokens: Tensor, chain: Sequence[int], slots: Sequence[Slot] | None = None
) -> Tensor:
    """Logits of a chain, `[B, T, tokens]`; with slots only those of the positions not yet in them.

    slots: one a call. Raises `ValueError` for a chain that cannot be called.
    """
    chain = checked(chain, decoder.layers)
    known = slots[0].get_seq_length() if slots else 0
    hidden, around = decoder.enter(tokens, tokens.shape[1] - known)
    for position, layer in enumerate(chain):
        hidden = decoder.call(layer, hidden, around, slots[position] if slots else None)
    return decoder.logits(hidden)


def generate(
    decoder: Decoder, tokens: Tensor, chain: Chain, steps: int, cached: bool = True
) -> Tensor:
    """The most likely continuation, greedily: tokens `[B, T]` → `[B, T + steps]`.

    cached: keep keys and values of every call, instead of reading the whole text at every step.
    """
    slots = [Slot() for _ in chain] if cached else None
    for _ in range(steps):
        best = run_chain(decoder, tokens, chain, slots)[:, -1].argmax(dim=-1, keepdim=True)
        tokens = torch.cat([tokens, best], dim=1)
    return tokens
