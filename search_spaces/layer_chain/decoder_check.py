"""Checks that a model's layers can be called one by one, before anything else is done with it."""

from typing import Protocol

import torch
from torch import Tensor, nn

from search_spaces.layer_chain.anatomy import Watched, states_of
from search_spaces.layer_chain.decoder import Decoder, Slot, run_chain
from search_spaces.layer_chain.layer_settings import rules_of
from search_spaces.layer_chain.rounding import agrees


class Model(Decoder, Protocol):
    """A decoder around a model, whose hidden states have their own form.

    time: the axis of positions. packed: returns states of the model as `[B, T, d]`.
    """

    model: nn.Module
    time: int

    def packed(self, states: Tensor) -> Tensor: ...


@torch.no_grad()
def check_decoder(decoder: Model, tokens: Tensor, seen: Watched) -> None:
    """Compare single calls with what the model did with `tokens`, as recorded in `seen`.

    Raises `ValueError` if a layer is not causal, reads more than its arguments, or if the model
    changes the hidden states between its layers.
    """
    name = type(decoder.model).__name__
    if seen.hidden[0].shape[decoder.time] != tokens.shape[1]:
        raise ValueError(f"{name} adds positions of its own to the tokens")
    if not agrees(seen.logits[0, :-1], seen.logits[1, :-1]):
        raise ValueError(f"{name} is not causal: its logits at a token depend on later tokens")
    outputs = [states_of(output) for output in seen.outputs]
    for layer, (output, following) in enumerate(zip(outputs, seen.hidden[1:], strict=False)):
        if not agrees(output, following):
            raise ValueError(f"{name} changes the hidden states after layer {layer}")
    for layer, (hidden, output) in enumerate(zip(seen.hidden, outputs, strict=True)):
        _check_layer(decoder, layer, tokens, hidden, output)
    if not agrees(decoder.logits(decoder.packed(outputs[-1])), seen.logits):
        raise ValueError(f"{name} needs more than the last hidden states for its logits")


def _check_layer(
    decoder: Model, layer: int, tokens: Tensor, hidden: Tensor, output: Tensor
) -> None:
    """Raise `ValueError` if a layer, called alone, does not repeat its output."""
    try:
        alone = decoder.call(layer, decoder.packed(hidden), decoder.enter(tokens)[1])
        if agrees(alone, decoder.packed(output)):
            return
        reason = "gives other outputs"
    except (RuntimeError, LookupError, AttributeError, TypeError, ValueError) as error:
        reason = f"fails ({type(error).__name__}: {' '.join(str(error).split())[:80]})"
    named = rules_of(decoder.model)
    raise ValueError(
        f"layer {layer} of {type(decoder.model).__name__} {reason} without the layers before it"
        + (f"; set by {named}" if named else "")
    )


@torch.no_grad()
def keeps_a_cache(decoder: Model, tokens: Tensor) -> bool:
    """Return whether slots, one per call, give the logits of whole texts."""
    chain = tuple(range(decoder.layers))
    slots = [Slot() for _ in chain]
    try:
        parts = [run_chain(decoder, tokens[:, :end], chain, slots) for end in (3, 4, 6)]
    except Exception:
        return False
    return agrees(torch.cat(parts, dim=1), run_chain(decoder, tokens, chain))


@torch.no_grad()
def narrows(decoder: Model, tokens: Tensor) -> bool:
    """Return whether the head gives the same logits of some tokens when it computes only those."""
    hidden, options = decoder.enter(tokens)[0], torch.tensor([3, 1], device=tokens.device)
    try:
        return agrees(decoder.logits(hidden, options), decoder.logits(hidden)[..., options])
    except RuntimeError:  # the model reshapes its logits by the vocabulary
        return False
