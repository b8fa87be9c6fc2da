"""Finds what can be removed from a network: blocks and layers that preserve their input's shape."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from compress.structure.graph import CannotTrace, graph_of
from compress.structure.layer_features import layer_features
from compress.structure.narrow import CONVOLUTIONS, NORMS
from compress.structure.networks import answered, copied, restored
from compress.structure.student import remove
from compress.structure.trial import fails, shapes_of, training_fails, tried
from search_spaces.layer_removal.space import Channels, Outline

CONTAINERS = (nn.Sequential, nn.ModuleList)


def outline_of(model: nn.Module, example: Any) -> Outline:
    """Return the layers of a network that can be removed and the channels that can be narrowed.

    All of them are tried on the example; `kept` says why the others stay.
    example: an input `[B, …]`, a tuple of inputs, or a dictionary of them; only shapes matter.
    Raises `CannotTrace` if channels cannot be traced and no layer can be removed either.
    """
    blocks, failed = tried_removals(model, example)
    kept = {paths[0]: reason for paths, reason in failed}
    try:
        graph = graph_of(model, example)
    except CannotTrace as error:
        if not blocks:
            raise
        return Outline(blocks, (), layer_features(model, ()), (("", str(error)), *kept.items()))
    channels = tuple(Channels(group.makers, group.width) for group in graph.groups)
    reasons = (*graph.kept.items(), *kept.items())
    return Outline(blocks, channels, layer_features(model, channels), reasons)


def removable(model: nn.Module, example: Any) -> tuple[tuple[str, ...], ...]:
    """Return the members of `nn.Sequential` and `nn.ModuleList` that can be skipped.

    These are blocks, convolutions and linear layers that are called once with a tensor and
    return a tensor of the same shape; if they are nested, only the outermost. The norm after a
    convolution is removed with it. A recurrent module can lose every layer but the first; the
    second is `PATH:1`. The network runs without each of them, and can still be trained.
    """
    return tried_removals(model, example)[0]


def tried_removals(
    model: nn.Module, example: Any
) -> tuple[tuple[tuple[str, ...], ...], list[tuple[tuple[str, ...], str]]]:
    """Return what can be removed, and what cannot, with the reasons."""
    scratch = copied(model)
    shapes = shapes_of(scratch.eval(), example)
    trains = training_fails(scratch, example) is None

    def attempt(some: Sequence[tuple[str, ...]], is_thorough: bool, _: bool) -> str | None:
        with restored(scratch):
            try:
                remove(scratch, [path for paths in some for path in paths])
            except (ValueError, KeyError, AttributeError) as error:
                return str(error)
            return fails(scratch, example, shapes, is_thorough and trains)

    return tried(_candidates(model, example), attempt)


def _candidates(model: nn.Module, example: Any) -> list[tuple[str, ...]]:
    fitting = _same_shapes(model, example)
    found: list[tuple[str, ...]] = []
    for path, module in model.named_modules():
        if any(path.startswith(f"{paths[0]}.") for paths in found):
            continue
        if isinstance(module, nn.RNNBase):
            found += [(f"{path}:{layer}",) for layer in range(1, module.num_layers)]
        parent, _, name = path.rpartition(".")
        siblings = model.get_submodule(parent)
        if path not in fitting or not isinstance(siblings, CONTAINERS) or not _is_block(module):
            continue
        behind = dict(siblings.named_children()).get(str(int(name) + 1)) if name.isdigit() else None
        norm = (f"{parent}.{int(name) + 1}".lstrip("."),) if isinstance(behind, NORMS) else ()
        found.append((path, *norm))
    return found


def _is_block(module: nn.Module) -> bool:
    if isinstance(module, (*CONVOLUTIONS, nn.Linear)):
        return True
    has_weights = any(True for _ in module.parameters())
    return has_weights and any(True for _ in module.children()) and not _is_list(module)


def _is_list(module: nn.Module) -> bool:
    return isinstance(module, (*CONTAINERS, nn.RNNBase))


def _same_shapes(model: nn.Module, example: Any) -> set[str]:
    """Return the paths of modules that are called once and preserve their input's shape."""
    calls: dict[str, int] = {}
    same: set[str] = set()

    def noting(path: str) -> Callable[[nn.Module, tuple, dict, object], None]:
        def note(_: nn.Module, given: tuple, named: dict, answer: object) -> None:
            calls[path] = calls.get(path, 0) + 1
            first = next(iter((*given, *named.values())), None)
            shapes = [x.shape if isinstance(x, Tensor) else None for x in (first, answer)]
            if shapes[0] is not None and shapes[0] == shapes[1]:
                same.add(path)

        return note

    watched = copied(model).eval()
    for path, module in watched.named_modules():
        if path and not isinstance(module, torch.jit.ScriptModule):
            module.register_forward_hook(noting(path), with_kwargs=True)
    with torch.no_grad():
        answered(watched, example)
    return {path for path in same if calls[path] == 1}
