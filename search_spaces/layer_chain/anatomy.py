"""Finds a causal language model's decoder layers by watching it read a few tokens."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

Arguments = dict[str, Any]
CACHES = ("past_key_values", "layer_past", "past_key_value", "cache_params", "cache")


@dataclass(frozen=True)
class Watched:
    """What a model did with a few tokens.

    place: the name of its list of layers, `stack`. hidden: what each layer got. outputs: what each
    layer returned. logits: the model's, `[B, T, tokens]`.
    """

    place: str
    stack: nn.ModuleList
    hidden: tuple[Tensor, ...]
    outputs: tuple[Any, ...]
    logits: Tensor


@dataclass(frozen=True)
class _Call:
    number: int
    hidden: Any
    output: Any

    @property
    def transforms(self) -> bool:
        """Whether the output is new hidden states."""
        states = states_of(self.output)
        given = isinstance(self.hidden, Tensor) and isinstance(states, Tensor)
        return given and self.hidden.shape == states.shape


@torch.no_grad()
def watched(model: nn.Module, tokens: Tensor) -> Watched:
    """Run a model on tokens `[B, T]` and return its decoder layers with their inputs and outputs.

    The layers are the outermost `nn.ModuleList` whose modules are called in its order, once each,
    and transform hidden states. Raises `ValueError` if there is not exactly one.
    """
    lists = _outermost_lists(model)
    calls: dict[str, list[_Call]] = {place: [] for place in lists}
    hooks = [
        layer.register_forward_hook(_note(calls[place], i), with_kwargs=True)
        for place, stack in lists.items()
        for i, layer in enumerate(stack)
    ]
    try:
        logits = model(tokens, use_cache=False).logits
    finally:
        for hook in hooks:
            hook.remove()
    found = [place for place in lists if _is_stack(calls[place], len(lists[place]))]
    if len(found) > 1:  # some families also project their states by a short list
        config: Any = model.config
        count = config.get_text_config(decoder=True).num_hidden_layers
        found = [place for place in found if len(lists[place]) == count] or found
    if len(found) != 1:
        raise ValueError(_refusal(type(model).__name__, calls, found))
    seen = calls[found[0]]
    hidden, outputs = tuple(one.hidden for one in seen), tuple(one.output for one in seen)
    return Watched(found[0], lists[found[0]], hidden, outputs, logits)


def layers_of(model: nn.Module) -> nn.ModuleList:
    """Return the decoder layers; raises `ValueError` if none can be found."""
    return watched(model, probe_tokens(model)).stack


def probe_tokens(model: nn.Module) -> Tensor:
    """Return two rows of six tokens, `[2, 6]`, that differ only in the last one."""
    tokens = torch.arange(5, 11) * 37
    rows = torch.stack([tokens, torch.cat([tokens[:-1], tokens[-1:] + 11])])
    embedding: Any = model.get_input_embeddings()  # type: ignore[operator]
    known: int = embedding.weight.shape[0]
    return (rows % known).to(embedding.weight.device)


def states_of(output: Any) -> Any:
    """Return the hidden states of a layer's output: the first of several values, or all of it."""
    return output[0] if isinstance(output, tuple | list) else output


def cache_name(layer: nn.Module) -> str:
    """Return the name of a layer's cache argument; the first of `CACHES` if it is not declared."""
    declared = inspect.signature(layer.forward).parameters
    return next((name for name in CACHES if name in declared), CACHES[0])


def split(forward: Callable[..., Any], args: Any, kwargs: Any) -> tuple[Any, Arguments]:
    """Return a layer's first argument, its hidden states, and the others by name, but no cache."""
    parameters = inspect.signature(forward).parameters
    bound = dict(inspect.signature(forward).bind(*args, **kwargs).arguments)
    for parameter in parameters.values():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            bound |= bound.pop(parameter.name, {})
    hidden = bound.pop(next(iter(parameters)), None)
    return hidden, {name: value for name, value in bound.items() if name not in CACHES}


def _outermost_lists(model: nn.Module) -> dict[str, nn.ModuleList]:
    """Return the lists of modules that are not part of another list, by name."""
    found: dict[str, nn.ModuleList] = {}
    for name, module in model.named_modules():
        inner = any(name.startswith(f"{outer}.") for outer in found)
        if isinstance(module, nn.ModuleList) and len(module) and not inner:
            found[name] = module
    return found


def _note(calls: list[_Call], number: int) -> Callable[..., None]:
    def note(layer: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        calls.append(_Call(number, split(layer.forward, args, kwargs)[0], output))

    return note


def _is_stack(calls: list[_Call], layers: int) -> bool:
    in_order = [one.number for one in calls] == [*range(layers)]
    return in_order and all(one.transforms for one in calls)


def _refusal(name: str, calls: dict[str, list[_Call]], found: list[str]) -> str:
    if found:
        return f"{name} has more than one list of layers: {', '.join(found)}"
    for place, seen in calls.items():
        if len({one.number for one in seen}) < len(seen):
            return f"{name} calls the layers of {place} more than once each"
    return (
        f"{name} has no list of decoder layers that it calls one after another: use a causal "
        "language model such as Llama, Qwen, Mistral, Gemma, OLMoE or GPT-2"
    )
