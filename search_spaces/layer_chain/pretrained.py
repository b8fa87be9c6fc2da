"""Runs causal language models of the `transformers` package (5 and later) layer by layer.

It does not import the package: the model computes embeddings, masks, rotations, the last norm and
the head itself, while stand-ins for its layers record their arguments. Whatever a family does
around its layers (scaled embeddings, sliding windows, capped logits) therefore happens here too.
"""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from search_spaces.layer_chain.decoder import Slot

PLACES = ("model.layers", "transformer.h", "gpt_neox.layers", "model.decoder.layers")
Arguments = dict[str, Any]


def layers_of(model: nn.Module) -> nn.ModuleList:
    """Return the decoder layers; raises `ValueError` naming the attributes that were tried."""
    for place in PLACES:
        try:
            found = model.get_submodule(place)
        except AttributeError:
            continue
        if isinstance(found, nn.ModuleList) and len(found):
            return found
    raise ValueError(
        f"{type(model).__name__} has no list of decoder layers at {', '.join(PLACES)}: "
        "use a causal language model such as Llama, Qwen, Mistral, Gemma, OLMoE or GPT-2"
    )


class Pretrained:
    """A `Decoder` around a model, which is set to evaluation mode."""

    def __init__(self, model: nn.Module) -> None:
        self.model, self.stack = model.eval(), layers_of(model)

    @property
    def layers(self) -> int:
        return len(self.stack)

    def enter(self, tokens: Tensor, last: int | None = None) -> tuple[Tensor, list[Arguments]]:
        handed: list[Arguments] = [{} for _ in self.stack]
        entered: list[Tensor] = []

        def note(layer: int, forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Tensor:
            hidden, *_ = args
            entered.append(hidden)
            handed[layer] = _by_name(forward, *args, **kwargs)
            return hidden

        with self._replaced(note):
            self.model(tokens, use_cache=False)
        count = last or tokens.shape[1]
        return entered[0][:, -count:], [_of_last(count, a, tokens) for a in handed]

    def call(
        self, layer: int, hidden: Tensor, around: list[Arguments], slot: Slot | None = None
    ) -> Tensor:
        return self.stack[layer](hidden, **{**around[layer], "past_key_values": slot})

    def logits(self, hidden: Tensor) -> Tensor:
        with self._replaced(lambda *_, **__: hidden):
            return self.model(inputs_embeds=hidden, use_cache=False).logits

    @contextmanager
    def _replaced(self, forward: Callable[..., Tensor]) -> Iterator[None]:
        """Replace layers by `forward(layer, original forward, …)` in this context."""
        for i, layer in enumerate(self.stack):
            layer.forward = partial(forward, i, layer.forward)
        try:
            yield
        finally:
            for layer in self.stack:
                del layer.forward


def _by_name(forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Arguments:
    """Return a layer's arguments by name, without the hidden states (first) and the cache."""
    signature = inspect.signature(forward)
    bound = dict(signature.bind(*args, **kwargs).arguments)
    for parameter in signature.parameters.values():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            bound |= bound.pop(parameter.name, {})
    del bound[next(iter(signature.parameters))]
    bound.pop("past_key_values", None)
    return bound


def _of_last(count: int, arguments: Arguments, tokens: Tensor) -> Arguments:
    """Return the arguments for the last `count` positions and any number of rows."""
    found, length = dict(arguments), tokens.shape[1]
    mask = found.get("attention_mask")
    if mask is not None:
        found["attention_mask"] = mask[:1, :, -count:]  # [1, 1, T, S]
    elif 1 < count < length:  # without a mask, attention would assume no past
        steps = torch.arange(length, device=tokens.device)
        found["attention_mask"] = (steps[-count:, None] >= steps)[None, None]
    if found.get("position_ids") is not None:
        found["position_ids"] = found["position_ids"][:1, -count:]
    if found.get("position_embeddings") is not None:
        found["position_embeddings"] = tuple(
            part[:1, -count:] for part in found["position_embeddings"]
        )
    return found
