"""Turns a chain into a separate network with the layers that it calls, in its order."""

from copy import deepcopy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from search_spaces.layer_chain.anatomy import Watched, probe_tokens, watched
from search_spaces.layer_chain.chain import Chain, checked
from search_spaces.layer_chain.layer_settings import check_translation, rules_of, translated
from search_spaces.layer_chain.llama import Llama


def shortened(model: nn.Module, chain: Chain) -> nn.Module:
    """Return a network of the same family with copies of the chain's layers.

    model: a `Llama` or a causal language model of the `transformers` package.
    Raises `ValueError` for a chain that cannot be called, or that the model's configuration cannot
    describe.
    """
    return deepcopy(sharing(model, chain))


def sharing(model: nn.Module, chain: Chain) -> nn.Module:
    """Return the network of `shortened`, but with the model's own weights.

    If these are on several devices, it has copies on the first one.
    """
    if isinstance(model, Llama):
        checked(chain, model.layers)
        llama = Llama(replace(model.size, layers=len(chain)), torch.Generator())
        kept, layers = _split(tensors_of(model), "stack.")
        _fill(llama, kept | _ordered(layers, "stack.", chain))
        return llama.eval()
    seen = watched(model, probe_tokens(model))
    checked(chain, len(seen.stack))
    try:
        short: Any = _described(model, seen, chain)
    except (ValueError, LookupError, TypeError, AttributeError, RuntimeError) as error:
        raise ValueError(_cannot_describe(model, chain, error)) from None
    short.to(next(model.parameters()).device)
    short.tie_weights()
    short.generation_config = deepcopy(model.generation_config)
    if not _caches(short.eval()):
        for settings in (short.config.get_text_config(decoder=True), short.generation_config):
            setattr(settings, "use_cache", False)  # noqa: B010 - the type of both is not known here
    return short


@torch.no_grad()
def _caches(short: nn.Module) -> bool:
    """Return whether the network can read tokens with a cache.

    `transformers` has no cache for convolutions or recurrences alone in some hybrid families.
    """
    try:
        short(probe_tokens(short), use_cache=True)
    except Exception:
        return False
    return True


def _described(model: nn.Module, seen: Watched, chain: Chain) -> Any:
    """Return the network that the translated configuration describes, with the model's weights."""
    count, prefix = len(seen.stack), f"{seen.place}."
    short = _empty(model, chain, count)
    check_translation(seen.stack, short.get_submodule(seen.place), chain)
    kept, layers = _split(tensors_of(model), prefix)
    other = short if len(chain) != count else _empty(model, (*chain, *chain), count)
    kept = _by_layer(kept, tensors_of(other), chain, count)
    _fill(short, kept | _ordered(layers, prefix, chain))
    return short


def _empty(model: nn.Module, chain: Chain, layers: int) -> nn.Module:
    """Return a network for the chain without values in its tensors."""
    with torch.device("meta"):
        return type(model)(translated(model.config, chain, layers))


def tensors_of(model: nn.Module) -> dict[str, Tensor]:
    """Return all tensors of a model by name: parameters, buffers, and plain attributes."""
    return {
        f"{prefix}.{name}".removeprefix("."): value
        for prefix, module in model.named_modules(remove_duplicate=False)
        for part in (module._parameters, module._buffers, vars(module))
        for name, value in part.items()
        if isinstance(value, Tensor)
    }


def _split(tensors: dict[str, Tensor], prefix: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the tensors outside and inside the list of layers."""
    inside = {name: value for name, value in tensors.items() if name.startswith(prefix)}
    return {name: value for name, value in tensors.items() if name not in inside}, inside


def _by_layer(
    tensors: dict[str, Tensor], other: dict[str, Tensor], chain: Chain, layers: int
) -> dict[str, Tensor]:
    """Return tensors with those that hold one part per layer in the chain's order.

    other: the tensors of a network with another number of layers; their sizes show which these are.
    """
    found = dict(tensors)
    for name, value in tensors.items():
        if name in other and other[name].dim() == value.dim():
            sizes = zip(value.shape, other[name].shape, strict=True)
            for axis in [i for i, (a, b) in enumerate(sizes) if a != b]:
                parts = found[name].unflatten(axis, (layers, -1))
                chosen = parts.index_select(axis, torch.tensor(chain, device=value.device))
                found[name] = chosen.flatten(axis, axis + 1)
    return found


def _ordered(layers: dict[str, Tensor], prefix: str, chain: Chain) -> dict[str, Tensor]:
    """Return the tensors of the chain's layers under their new numbers."""
    return {
        f"{prefix}{number}.{name.removeprefix(f'{prefix}{layer}.')}": value
        for number, layer in enumerate(chain)
        for name, value in layers.items()
        if name.startswith(f"{prefix}{layer}.")
    }


def _fill(short: nn.Module, found: dict[str, Tensor]) -> None:
    """Give every tensor of a network the value found under its name."""
    for name, empty in tensors_of(short).items():
        value = found[name]
        if value.shape != empty.shape:
            raise ValueError(f"{name} has the shape {[*value.shape]}, not {[*empty.shape]}")
        place, _, leaf = name.rpartition(".")
        if isinstance(empty, nn.Parameter):
            value = nn.Parameter(value.detach(), requires_grad=False)
        else:
            value = value.clone()  # small; copies of a layer must not share it in a checkpoint
        setattr(short.get_submodule(place), leaf, value)


def _cannot_describe(model: nn.Module, chain: Chain, error: Exception) -> str:
    rules = rules_of(model)
    return (
        f"the configuration of {type(model).__name__} cannot describe the chain "
        f"{' '.join(map(str, chain))}: {' '.join(str(error).split())[:200]}"
        + (f" (its settings by layer number: {rules})" if rules else "")
    )
