"""A student: a teacher without some of its layers and channels, with the teacher's weights."""

import copy
from collections.abc import Iterable, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from compress.structure.cell_units import cell_unit_norms, keep_cell_units
from compress.structure.follow import CONVOLUTIONS, NORMS, Layer
from compress.structure.graph import Graph, Group, graph_of
from compress.structure.place_channels import PlaceChannels
from compress.structure.recurrent_units import drop_layers, keep_units, unit_norms
from kernels.cell.layer import CompiledRNN


class Skipped(nn.Module):
    """What stands where a layer was: hands its first input on."""

    def forward(self, x: Tensor, *others: object, **named: object) -> Tensor:
        return x


def student(
    teacher: nn.Module,
    example: Tensor,
    removed: Iterable[str],
    widths: Mapping[str, int],
    fresh: torch.Generator | None = None,
) -> nn.Module:
    """The teacher without the removed modules, its groups of channels narrowed to `widths`.

    example: an input `[B, …]`, of which only the shape matters.
    removed: paths of modules whose output has the shape of their input.
    widths: by one of a group's makers, the channels that stay; those with the largest weights do.
    fresh: draws all weights anew, as N2N does (Ashok et al. 2018,
        https://arxiv.org/abs/1709.06030, section 3.2); None to inherit the teacher's.
    Raises `CannotTrace`, and `ValueError` for a path or width that does not exist.
    """
    smaller = without(teacher, removed)
    if widths:
        smaller = _with_widths(smaller, example, widths)
    if fresh is not None:
        draw_weights(smaller, fresh)
    return smaller


def _with_widths(model: nn.Module, example: Tensor, widths: Mapping[str, int]) -> nn.Module:
    graph = graph_of(model, example)
    wanted: dict[int, int] = {}
    for maker, width in widths.items():
        index = next((i for i, g in enumerate(graph.groups) if maker in g.makers), None)
        if index is None:
            raise ValueError(f"the channels that {maker} makes cannot be changed")
        wanted[index] = width
    norms = channel_norms(model, graph)
    alive = np.ones(len(graph.roots), dtype=bool)
    for index, width in wanted.items():
        for part in _dropped(graph.groups[index], width, norms):
            alive[part] = False
    return narrowed(model, graph, alive[graph.roots])


def without(teacher: nn.Module, removed: Iterable[str]) -> nn.Module:
    """A copy of the network in which the modules named hand their input on, and recurrent layers
    named `PATH:NUMBER` are gone."""
    smaller = copy.deepcopy(teacher)
    dropped: dict[str, set[int]] = {}
    for path in removed:
        module, _, layer = path.partition(":")
        try:
            smaller.get_submodule(module)
        except AttributeError:
            raise ValueError(f"the teacher has no module {path}") from None
        if layer:
            dropped.setdefault(module, set()).add(int(layer))
        else:
            replace_module(smaller, path, Skipped())
    for path, layers in dropped.items():
        recurrent = smaller.get_submodule(path)
        if not isinstance(recurrent, nn.RNNBase):
            raise ValueError(f"{path} of the teacher has no layers that could be removed")
        replace_module(smaller, path, drop_layers(recurrent, frozenset(layers)))
    return smaller


def channel_norms(model: nn.Module, graph: Graph) -> np.ndarray:
    """Saliency of each root: the squared norms of all weights of its channel, each layer's scaled
    to a mean of one, summed over the group (Fang et al. 2023, https://arxiv.org/abs/2301.12900,
    section 3.3)."""
    total = np.zeros(len(graph.roots))
    for layer in graph.layers:
        for labels, norms in _norms(model.get_submodule(layer.path), layer):
            scaled = norms / max(norms.mean(), 1e-12)
            np.add.at(total, graph.roots[labels], scaled)
    return total


def narrowed(model: nn.Module, graph: Graph, alive: np.ndarray) -> nn.Module:
    """A copy of the network with only those channels, by label, that are alive."""
    smaller = copy.deepcopy(model)
    for layer in graph.layers:
        made = [np.flatnonzero(alive[labels]) for labels in layer.makes]
        read = None if layer.reads is None else np.flatnonzero(alive[layer.reads])
        labels = [*layer.makes, *(() if layer.reads is None else (layer.reads,))]
        if alive[np.concatenate(labels)].all():
            continue
        module = smaller.get_submodule(layer.path)
        if isinstance(module, nn.RNNBase):
            replace_module(smaller, layer.path, keep_units(module, made, read))
        elif isinstance(module, CompiledRNN):
            replace_module(smaller, layer.path, keep_cell_units(module, made[0], read))
        elif isinstance(module, PlaceChannels):
            replace_module(smaller, layer.path, _replaced(module, made[0], read))
        else:
            _narrow(module, torch.from_numpy(made[0]), read)
    return smaller


def draw_weights(model: nn.Module, generator: torch.Generator) -> None:
    """Draw all weights again, each module in its own way."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**31, (1,), generator=generator)))
        for module in model.modules():
            reset = getattr(module, "reset_parameters", None)
            if callable(reset):
                reset()


def _dropped(group: Group, width: int, norms: np.ndarray) -> list[np.ndarray]:
    """Of each part of a group the roots that go: those of the smallest norms."""
    if not 1 <= width <= group.width:
        raise ValueError(f"{group.makers[0]} cannot have {width} of {group.width} channels")
    return [part[np.argsort(-norms[part], kind="stable")[width:]] for part in group.parts]


def _norms(module: nn.Module, layer: Layer) -> list[tuple[np.ndarray, np.ndarray]]:
    """(labels, squared norms) of a module's weights, of what it makes and of what it reads."""
    if isinstance(module, nn.RNNBase):
        return list(zip(layer.makes, unit_norms(module), strict=True))
    if isinstance(module, CompiledRNN):
        return [(layer.makes[0], cell_unit_norms(module))]
    weight = getattr(module, "weight", None)
    if not isinstance(weight, Tensor):
        return []
    squares = weight.detach().double().square().cpu()
    norms = [(layer.makes[0], squares.flatten(1).sum(1) if squares.dim() > 1 else squares)]
    if layer.is_maker and layer.reads is not None:
        norms.append((layer.reads, squares.transpose(0, 1).flatten(1).sum(1)))
    return [(labels, values.numpy()) for labels, values in norms]


def _narrow(module: nn.Module, made: Tensor, read: np.ndarray | None) -> None:
    """Cut a convolution, linear or norm layer in place."""
    for name in ("weight", "bias", "running_mean", "running_var"):
        value = getattr(module, name, None)
        if value is None:
            continue
        cut = value.detach()[made]
        if name == "weight" and read is not None and not _is_channelwise(module):
            cut = cut[:, torch.from_numpy(read)]
        cut = cut.clone()
        is_parameter = isinstance(value, nn.Parameter)
        setattr(module, name, nn.Parameter(cut, value.requires_grad) if is_parameter else cut)
    if isinstance(module, NORMS):
        module.num_features = len(made)
    elif isinstance(module, nn.Linear):
        module.out_features = len(made)
        module.in_features = module.in_features if read is None else len(read)
    elif isinstance(module, CONVOLUTIONS):
        module.out_channels = len(made)
        module.in_channels = module.in_channels if read is None else len(read)
        module.groups = len(made) if _is_channelwise(module) else 1


def _is_channelwise(module: nn.Module) -> bool:
    return isinstance(module, NORMS) or (isinstance(module, CONVOLUTIONS) and module.groups > 1)


def _replaced(module: PlaceChannels, made: np.ndarray, read: np.ndarray | None) -> PlaceChannels:
    """The shortcut to the outputs that stay, from the inputs that stay."""
    if read is None:
        return PlaceChannels([module.places[i] for i in made], module.stride)
    now = {old: new for new, old in enumerate(read.tolist())}
    return PlaceChannels([now.get(module.places[i], -1) for i in made], module.stride)


def replace_module(model: nn.Module, path: str, module: nn.Module) -> None:
    """Put a module where another one is."""
    parent, _, name = path.rpartition(".")
    setattr(model.get_submodule(parent), name, module)
