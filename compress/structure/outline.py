"""What can be taken away from a network: blocks and layers whose output has their input's shape."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from compress.structure.follow import CONVOLUTIONS, NORMS
from compress.structure.graph import CannotTrace, graph_of
from compress.structure.layer_features import layer_features
from search_spaces.layer_removal.space import Channels, Outline

CONTAINERS = (nn.Sequential, nn.ModuleList)


def outline_of(model: nn.Module, example: Tensor) -> Outline:
    """The removable layers and the channels of a network.

    example: an input `[B, …]`, of which only the shape matters.
    Raises as `graph_of` where no layer can be removed either.
    """
    blocks = removable(model, example)
    try:
        groups = graph_of(model, example).groups
    except CannotTrace:
        if not blocks:
            raise
        groups = ()
    channels = tuple(Channels(group.makers, group.width) for group in groups)
    return Outline(blocks, channels, layer_features(model, channels))


def removable(model: nn.Module, example: Tensor) -> tuple[tuple[str, ...], ...]:
    """The members of `nn.Sequential` and `nn.ModuleList` that can hand their input on instead.

    These are blocks, convolutions and linear layers that are called once with a tensor and
    return one of its shape; of nested ones the outermost. The norm behind a convolution goes with
    it. Of a recurrent module every layer but the first can go: the second is `PATH:1`.
    """
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
    return tuple(found)


def _is_block(module: nn.Module) -> bool:
    if isinstance(module, (*CONVOLUTIONS, nn.Linear)):
        return True
    has_weights = any(True for _ in module.parameters())
    return has_weights and any(True for _ in module.children()) and not _is_list(module)


def _is_list(module: nn.Module) -> bool:
    return isinstance(module, (*CONTAINERS, nn.RNNBase))


def _same_shapes(model: nn.Module, example: Tensor) -> set[str]:
    """Paths of the modules that are called once and return a tensor of their input's shape."""
    calls: dict[str, int] = {}
    same: set[str] = set()

    def noting(path: str) -> Callable[[nn.Module, tuple, object], None]:
        def note(_: nn.Module, given: tuple, answer: object) -> None:
            calls[path] = calls.get(path, 0) + 1
            first = given[0] if given else None
            shapes = [x.shape if isinstance(x, Tensor) else None for x in (first, answer)]
            if shapes[0] is not None and shapes[0] == shapes[1]:
                same.add(path)

        return note

    hooks = [m.register_forward_hook(noting(path)) for path, m in model.named_modules() if path]
    was_training = model.training
    try:
        with torch.no_grad():
            model.eval()(example)
    finally:
        model.train(was_training)
        for hook in hooks:
            hook.remove()
    return {path for path in same if calls[path] == 1}
