"""The tensors of a checkpoint, wherever training scripts put them and whatever they are called."""

import pickle
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from nas.core.errors import BadInput
from nas.core.files import reason_of
from nas.models.names import check_weights_file

# keys under which weights are often put, averaged ones last
WRAPPERS = (
    *("state_dict", "model_state_dict", "model", "net", "module", "weights"),
    *("ema", "model_ema", "ema_state_dict", "state_dict_ema"),
)
# what DataParallel, torch.compile, Lightning and averaged models put before every name
PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "ema_model.")


@dataclass(frozen=True)
class Place:
    """A place in a checkpoint at which weights may lie.

    key: of the dictionary that holds them, such as "model" or "model.state_dict"; "" for the
        checkpoint itself.
    prefix: what was removed from their names.
    tensors: by name without the prefix.
    others: of the same dictionary, those whose names do not begin with the prefix.
    """

    key: str
    prefix: str
    tensors: Mapping[str, Tensor]
    others: Mapping[str, Tensor]


def places_in(path: Path) -> list[Place]:
    """Return every place of a file at which weights may lie, the likeliest first.

    Raises `BadInput` if the file cannot be read or holds no tensors.
    """
    content = _read(path)
    found = [] if not isinstance(content, Mapping) else list(_dictionaries(content))
    if not found:
        keys = ", ".join(f'"{key}"' for key in content) if isinstance(content, Mapping) else ""
        holds = f"only {keys}" if keys else "no dictionary of tensors"
        raise BadInput(
            f"{path} has no weights, {holds}: save model.state_dict() and pass that file"
        )
    return [_place(key, prefix, tensors) for key, tensors in found for prefix in _prefixes(tensors)]


def _read(path: Path) -> Any:
    check_weights_file(path)
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        unsafe = re.search(r"GLOBAL (\S+)", str(error))
        named = f" ({unsafe[1]})" if unsafe else ""
        raise BadInput(
            f"{path} holds more than tensors{named}: save model.state_dict() and pass that file"
        ) from None
    except (OSError, EOFError, RuntimeError, ValueError, SafetensorError) as error:
        raise BadInput(f"{path} cannot be read as weights: {reason_of(error)}") from None


def _dictionaries(content: Mapping[Any, Any], key: str = "") -> Iterator[tuple[str, dict]]:
    """Yield every dictionary of tensors and its key, those under `WRAPPERS` first."""
    for wrapper in WRAPPERS:
        if isinstance(inner := content.get(wrapper), Mapping):
            yield from _dictionaries(inner, f"{key}.{wrapper}" if key else wrapper)
    tensors = {str(name): v for name, v in content.items() if isinstance(v, Tensor)}
    if tensors:
        yield key, tensors


def _prefixes(names: Mapping[str, Tensor]) -> list[str]:
    """Return "" and every sequence of `PREFIXES` that a name begins with, short ones first."""
    found = [""]
    for prefix in found:  # grows
        longer = (prefix + one for one in PREFIXES)
        found += [one for one in longer if any(name.startswith(one) for name in names)]
    return found


def _place(key: str, prefix: str, tensors: Mapping[str, Tensor]) -> Place:
    inside = {n.removeprefix(prefix): v for n, v in tensors.items() if n.startswith(prefix)}
    others = {n: v for n, v in tensors.items() if not n.startswith(prefix)}
    return Place(key, prefix, inside, others)
