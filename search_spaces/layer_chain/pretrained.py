"""Runs causal language models of the `transformers` package (5 and later) layer by layer.

It does not import the package: the model computes embeddings, masks, rotations, the last norm and
the head itself, while stand-ins for its layers record their arguments. Whatever a family does
around its layers (scaled embeddings, sliding windows, capped logits) therefore happens here too.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from search_spaces.layer_chain.anatomy import (
    Arguments,
    cache_name,
    probe_tokens,
    split,
    states_of,
    watched,
)
from search_spaces.layer_chain.arguments import Around, around_of, differing_by_row, of_rows
from search_spaces.layer_chain.decoder import Decoder, Slot
from search_spaces.layer_chain.decoder_check import check_decoder, keeps_a_cache, narrows
from search_spaces.layer_chain.llama import Llama


class Entered(Exception):
    """Raised by the last stand-in, so that the head does not compute unused logits."""


class Pretrained:
    """A `Decoder` around a model, which is set to evaluation mode.

    tokens: the size of the vocabulary. cacheable: whether slots can hold what its layers remember.
    Raises `ValueError` naming what does not work for a model whose layers cannot be called in
    another order.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model.eval()
        tokens = probe_tokens(model)
        self.device = tokens.device
        seen = watched(model, tokens)
        self.place, self.stack, self.tokens = seen.place, seen.stack, seen.logits.shape[-1]
        self._returned = [len(o) if isinstance(o, tuple | list) else 0 for o in seen.outputs]
        self._known: dict[int, list[Around]] = {}
        self.rows, self.time = self._axes(tokens.shape[1])
        self._rest = self._order(seen.hidden[0]).shape[2:]
        parts = zip(self._around(tokens.shape[1]), self._pass(tokens)[1], strict=True)
        self._differing = [differing_by_row(around, given) for around, given in parts]
        self._narrow = False
        check_decoder(self, tokens, seen)
        self._narrow = isinstance(model.get_output_embeddings(), nn.Linear)  # type: ignore[operator]
        self._narrow = self._narrow and narrows(self, tokens)
        self.cacheable = keeps_a_cache(self, tokens)

    @property
    def layers(self) -> int:
        return len(self.stack)

    def enter(self, tokens: Tensor, last: int | None = None) -> tuple[Tensor, list[Around]]:
        hidden, arguments = self._pass(tokens.to(self.device))
        parts = zip(self._around(tokens.shape[1]), arguments, self._differing, strict=True)
        around, packed = [of_rows(*part) for part in parts], self.packed(hidden)
        if last is None or last == tokens.shape[1]:
            return packed, around
        return packed[:, -last:], [one.last(last) for one in around]

    def call(
        self,
        layer: int,
        hidden: Tensor,
        around: list[Around],
        slot: Slot | None = None,
        rows: Tensor | None = None,
    ) -> Tensor:
        if rows is None:
            rows = torch.arange(len(hidden), device=hidden.device)
        arguments = around[layer].for_rows(rows)
        if slot is not None:
            arguments |= self._remembering(layer, slot, hidden, arguments)
        output = self.stack[layer](self._unpacked(hidden), **arguments)
        return self.packed(states_of(output)).to(hidden.device)  # layers may be on several devices

    def _remembering(
        self, layer: int, slot: Slot, hidden: Tensor, arguments: Arguments
    ) -> Arguments:
        """Return the arguments that make a layer use a slot."""
        found: Arguments = {cache_name(self.stack[layer]): slot}
        if "use_cache" in arguments:
            found["use_cache"] = True
        new, past = hidden.shape[1], slot.get_seq_length()
        if new > 1 and past and arguments.get("attention_mask") is None:
            steps = torch.arange(past + new, device=hidden.device)  # attention assumes no past
            found["attention_mask"] = (steps[past:, None] >= steps)[None, None]
        return found

    def logits(self, hidden: Tensor, options: Tensor | None = None) -> Tensor:
        states, dummy = self._unpacked(hidden), hidden.new_zeros(hidden.shape[:2], dtype=torch.long)

        def answer(layer: int, forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            last = layer == self.layers - 1
            return self._output(layer, states if last else split(forward, args, kwargs)[0])

        narrow = options if self._narrow else None
        with self._replaced(answer), _narrowed(self.model, narrow):
            found = self.model(dummy, use_cache=False).logits
        return found if options is None or self._narrow else found[..., options]

    def packed(self, states: Tensor) -> Tensor:
        """Return a model's hidden states as `[B, T, d]`."""
        return self._order(states).flatten(2)

    def _order(self, states: Tensor) -> Tensor:
        return states.movedim((self.rows, self.time), (0, 1))

    def _unpacked(self, hidden: Tensor) -> Tensor:
        return hidden.unflatten(2, self._rest).movedim((0, 1), (self.rows, self.time))

    def _axes(self, length: int) -> tuple[int, int]:
        """Return the axes of rows and of time of the model's hidden states."""
        one, two, longer = (
            self._pass(self._blank(*size))[0].shape
            for size in ((1, length), (2, length), (1, length + 1))
        )
        (rows,) = (i for i, size in enumerate(one) if size != two[i])
        (time,) = (i for i, size in enumerate(one) if size != longer[i])
        return rows, time

    def _around(self, length: int) -> list[Around]:
        """Return every layer's arguments for rows of this length."""
        if length not in self._known:
            if len(self._known) > 4:
                self._known.clear()
            passes = (
                self._pass(self._blank(*size))[1]
                for size in ((1, length), (2, length), (1, length + 1))
            )
            self._known[length] = [around_of(*given) for given in zip(*passes, strict=True)]
        return self._known[length]

    def _blank(self, rows: int, length: int) -> Tensor:
        return probe_tokens(self.model)[:1, :1].expand(rows, length)

    def _pass(self, tokens: Tensor) -> tuple[Tensor, list[Arguments]]:
        """Return the first layer's hidden states and every layer's arguments; calls no layer."""
        given: list[Arguments] = []
        entered: list[Tensor] = []

        def note(layer: int, forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            hidden, arguments = split(forward, args, kwargs)
            entered.append(hidden)
            given.append(arguments)
            if layer == self.layers - 1:
                raise Entered
            return self._output(layer, hidden)

        with self._replaced(note), suppress(Entered):
            self.model(tokens, use_cache=False)
        return entered[0], given

    def _output(self, layer: int, states: Tensor) -> Any:
        """Return hidden states in the form in which the layer returns them."""
        size = self._returned[layer]
        return (states, *(None for _ in range(size - 1))) if size else states

    @contextmanager
    def _replaced(self, forward: Callable[..., Any]) -> Iterator[None]:
        """Replace layers by `forward(layer, original forward, …)` in this context."""
        with ExitStack() as replaced:
            for i, layer in enumerate(self.stack):
                replaced.enter_context(_with_forward(layer, partial(forward, i, layer.forward)))
            yield


def decoder_of(network: nn.Module) -> Decoder:
    """Return a network as a decoder: a `Llama` is one; others are wrapped, see `Pretrained`."""
    return network if isinstance(network, Llama) else Pretrained(network)


@contextmanager
def _with_forward(module: nn.Module, forward: Callable[..., Any]) -> Iterator[None]:
    """Give a module another `forward` in this context."""
    own = vars(module).get("forward")
    module.forward = forward
    try:
        yield
    finally:
        del module.forward
        if own is not None:
            module.forward = own


@contextmanager
def _narrowed(model: Any, options: Tensor | None) -> Iterator[None]:
    """Let the model's head compute only the logits of these tokens, `[K]`; None for all."""
    head = model.get_output_embeddings() if options is not None else None
    if head is None:
        yield
        return
    weight, bias = head.weight[options], None if head.bias is None else head.bias[options]
    with _with_forward(head, lambda hidden: functional.linear(hidden, weight, bias)):
        yield
