"""A decoder whose layers are called one by one, in any order and any number of times.

Keys and values are cached per call, not per layer: if two calls of one layer shared a cache slot,
they would read each other's keys, and a chain without layer 0 would not find a slot.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from search_spaces.layer_chain.chain import Chain, checked


class Slot:
    """Keys and values of one call, `[B, heads, T, head]`, which grow at every step.

    It has the methods that attention in the `transformers` package needs.
    """

    def __init__(self) -> None:
        self.held: tuple[Tensor, Tensor] | None = None

    def update(self, keys: Tensor, values: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Append the keys and values of new positions; return those of all positions."""
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
    """The interface of a causal language model."""

    @property
    def layers(self) -> int: ...

    @property
    def tokens(self) -> int:
        """The size of the vocabulary."""
        ...

    @property
    def cacheable(self) -> bool:
        """Whether slots can hold all that the layers remember of earlier positions."""
        ...

    def enter(self, tokens: Tensor, last: int | None = None) -> tuple[Tensor, Any]:
        """Return the inputs of the first call, on the decoder's device.

        tokens: `[B, T]`, on any device; shorter sequences are padded on the right, which causal
            attention ignores.
        last: how many positions from the end to compute; None for all.
        Returns hidden states `[B, last, d]`, and the other arguments of every call, such as masks
        and rotations.
        """
        ...

    def call(
        self,
        layer: int,
        hidden: Tensor,
        around: Any,
        slot: Slot | None = None,
        rows: Tensor | None = None,
    ) -> Tensor:
        """Run a layer on hidden `[N, T, d]`; a slot holds the positions before those of hidden.

        rows: the entered row of each hidden one, `[N]`; by default, the entered rows in order.
        """
        ...

    def logits(self, hidden: Tensor, options: Tensor | None = None) -> Tensor:
        """Return `[N, T, tokens]` from hidden states `[N, T, d]` after the last call.

        options: the tokens to return logits of, `[K]`; None for all.
        """
        ...


@torch.no_grad()
def run_chain(
    decoder: Decoder, tokens: Tensor, chain: Sequence[int], slots: Sequence[Slot] | None = None
) -> Tensor:
    """Return the logits of a chain, `[B, T, tokens]`; with slots, only those of new positions.

    slots: one per call. Raises `ValueError` for a chain that cannot be called.
    """
    return decoder.logits(final_states(decoder, tokens, chain, slots))


@torch.no_grad()
def final_states(
    decoder: Decoder, tokens: Tensor, chain: Sequence[int], slots: Sequence[Slot] | None = None
) -> Tensor:
    """Return the hidden states after the last call, `[B, T, d]`; see `run_chain`."""
    chain = checked(chain, decoder.layers)
    known = slots[0].get_seq_length() if slots else 0
    hidden, around = decoder.enter(tokens, tokens.shape[1] - known)
    for position, layer in enumerate(chain):
        hidden = decoder.call(layer, hidden, around, slots[position] if slots else None)
    return hidden


@torch.no_grad()
def next_token(
    decoder: Decoder, tokens: Tensor, chain: Sequence[int], slots: Sequence[Slot] | None = None
) -> Tensor:
    """Return the likeliest token after `[B, T]`, `[B, 1]`, on the device of `tokens`."""
    last = final_states(decoder, tokens, chain, slots)[:, -1:]
    return decoder.logits(last)[:, -1].argmax(dim=-1, keepdim=True).to(tokens.device)


def generate(
    decoder: Decoder, tokens: Tensor, chain: Chain, steps: int, cached: bool = True
) -> Tensor:
    """Continue the tokens `[B, T]` greedily to `[B, T + steps]`.

    cached: keep the keys and values of every call, if the decoder is cacheable, instead of reading
        the whole text at each step.
    """
    slots = [Slot() for _ in chain] if cached and decoder.cacheable else None
    for _ in range(steps):
        tokens = torch.cat([tokens, next_token(decoder, tokens, chain, slots)], dim=1)
    return tokens
