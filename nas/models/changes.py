"""What sets a smaller network apart from the one its class builds, and how to make it again."""

import ast
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from safetensors.torch import load
from torch import Tensor, nn

from compress.structure.student import Skipped, without
from nas.models.space import Answering

BARE = set(vars(nn.Module()))  # what every module holds


class Changes(NamedTuple):
    """What to change in a network before it can hold the weights of a smaller one.

    skipped: paths of modules that hand their input on.
    attributes: by path of a module, the plain values that differ, such as `out_channels`.
    gone: names of parameters that the smaller network does not have.
    """

    skipped: tuple[str, ...]
    attributes: Mapping[str, Mapping[str, Any]]
    gone: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` reads; values are Python literals, for tuples to stay tuples."""
        attributes = {path: repr(values) for path, values in self.attributes.items()}
        return {"skipped": self.skipped, "attributes": attributes, "gone": self.gone}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Changes":
        read = {path: ast.literal_eval(values) for path, values in data["attributes"].items()}
        return cls(tuple(data["skipped"]), read, tuple(data["gone"]))


@dataclass(frozen=True)
class Narrowed:
    """What makes a network of the original's class the smaller one that a folder holds.

    weights: of the smaller one, as safetensors; their shapes count even where others replace them.
    """

    changes: Changes
    weights: bytes

    def applied(self, original: nn.Module) -> nn.Module:
        """Return the smaller network with its weights, wrapped as the original is."""
        weights = load(self.weights)
        if not isinstance(original, Answering):
            return with_changes(original, self.changes, weights)
        original.network = with_changes(original.network, self.changes, weights)
        return original


def narrowed_in(described: Mapping[str, Any], weights: bytes) -> Narrowed | None:
    """Return what `architecture.json` says of a narrowed network; None for any other."""
    if "changes" not in described:
        return None
    return Narrowed(Changes.from_json(described["changes"]), weights)


def changes_between(original: nn.Module, smaller: nn.Module) -> Changes:
    """Return what was done to a copy of the original network, found module by module."""
    skipped, attributes, gone = [], {}, []
    theirs = dict(original.named_modules(remove_duplicate=False))
    for path, module in smaller.named_modules(remove_duplicate=False):
        if path not in theirs:
            continue
        if isinstance(module, Skipped) and not isinstance(theirs[path], Skipped):
            skipped.append(path)
            continue
        own, before = _plain_values(module), _plain_values(theirs[path])
        changed = {k: v for k, v in own.items() if k not in before or before[k] != v}
        if changed:
            attributes[path] = changed
        held = {name for name, value in module._parameters.items() if value is not None}
        gone += [
            f"{path}.{name}".removeprefix(".")
            for name, value in theirs[path]._parameters.items()
            if value is not None and name not in held
        ]
    return Changes(tuple(skipped), attributes, tuple(gone))


def tensors_of_smaller(original: nn.Module, smaller: nn.Module) -> dict[str, Tensor]:
    """Return the state dictionary, and buffers besides it that the original holds otherwise."""
    before = dict(original.named_buffers(remove_duplicate=False))
    kept = dict(smaller.state_dict())
    for name, value in smaller.named_buffers(remove_duplicate=False):
        if name not in kept and not _are_equal(before.get(name), value):
            kept[name] = value
    return {name: value.detach().cpu().clone().contiguous() for name, value in kept.items()}


def with_changes(original: nn.Module, changes: Changes, tensors: Mapping[str, Tensor]) -> nn.Module:
    """Return a copy of the original network made smaller, with these weights."""
    model = without(original, changes.skipped)
    for path, values in changes.attributes.items():
        vars(model.get_submodule(path)).update(values)
    for name in changes.gone:
        path, _, key = name.rpartition(".")
        model.get_submodule(path)._parameters[key] = None
    held = dict(_held(model))
    for name, tensor in tensors.items():
        held[name].data = tensor  # the same parameter in another shape: ties last
    for module in model.modules():
        if isinstance(module, nn.RNNBase):
            module._init_flat_weights()
    return model


def _held(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from model.named_parameters(remove_duplicate=False)
    yield from model.named_buffers(remove_duplicate=False)


def _are_equal(one: Tensor | None, other: Tensor) -> bool:
    return one is not None and one.shape == other.shape and bool((one == other).all())


def _plain_values(module: nn.Module) -> dict[str, Any]:
    return {k: v for k, v in vars(module).items() if k not in BARE and _is_plain(v)}


def _is_plain(value: Any) -> bool:
    """Whether a value can be written as a Python literal."""
    if type(value) in (tuple, list):
        return all(map(_is_plain, value))
    if type(value) is dict:
        return all(map(_is_plain, [*value, *value.values()]))
    is_number = type(value) is float and math.isfinite(value)
    return value is None or is_number or type(value) in (bool, int, str)
