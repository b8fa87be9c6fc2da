"""Describes each layer to a policy by its kind and sizes, but not by its name."""

from collections.abc import Sequence
from math import log2

from torch import nn

from compress.structure.narrow import CONVOLUTIONS, NORMS
from compress.structure.place_channels import PlaceChannels
from kernels.cell.layer import CompiledRNN
from search_spaces.layer_removal.space import Channels, LayerFeatures

KINDS = (CONVOLUTIONS, nn.Linear, NORMS, (nn.RNNBase, CompiledRNN), PlaceChannels)

OUTPUTS = ("out_channels", "out_features", "hidden_size", "num_features")


def layer_features(model: nn.Module, channels: Sequence[Channels]) -> tuple[LayerFeatures, ...]:
    """Describe every layer with weights or channels of its own, in the order of definition.

    The state of N2N learning, (type, kernel, stride, padding, outputs, start and end of a skip
    connection), Ashok et al. 2018, section 3.1, https://arxiv.org/abs/1709.06030. Their sizes are
    raw integers up to 512; ours are log2(1 + size) / 8, and the type is one of six, a one behind
    zeros. A skip connection ends where a layer adds to channels that another one made before. Also
    given are the inputs and how many layers share the channels, as narrowing one narrows all.
    """
    shared: dict[str, tuple[str, ...]] = {}
    for group in channels:
        makers = tuple(maker.partition("#")[0] for maker in group.makers)
        for maker in makers:
            shared.setdefault(maker, makers)
    found = []
    for path, module in model.named_modules():
        if path not in shared and not any(True for _ in module.parameters(recurse=False)):
            continue
        makers = shared.get(path, (path,))
        skips = (float(path != makers[-1]), float(path != makers[0]))  # starts here, ends here
        layers = module.num_layers if isinstance(module, nn.RNNBase) else 1
        for layer in range(layers):
            values = (*_kind(module), *map(_log, (*_sizes(module), len(makers))), *skips)
            found.append(LayerFeatures(f"{path}:{layer}" if layer else path, values))
    return tuple(found)


def layer_widths(model: nn.Module) -> dict[str, int]:
    """Return the output width of each convolution, linear and recurrent layer, by path."""
    widths = {}
    for path, module in model.named_modules():
        if isinstance(module, nn.RNNBase):
            layers = (f"{path}:{layer}" if layer else path for layer in range(module.num_layers))
            widths |= dict.fromkeys(layers, module.hidden_size)
        elif isinstance(module, (*CONVOLUTIONS, nn.Linear, CompiledRNN)):
            widths[path] = _any(module, OUTPUTS)
    return widths


def _kind(module: nn.Module) -> tuple[float, ...]:
    """Return the one-hot kind of a layer; the last place means any other kind."""
    kinds = [isinstance(module, kind) for kind in KINDS]
    return (*map(float, kinds), float(not any(kinds)))


def _sizes(module: nn.Module) -> tuple[int, ...]:
    """Return kernel, stride, padding, inputs and outputs; 0 where a layer has none."""
    spatial = (_first(getattr(module, name, 0)) for name in ("kernel_size", "stride", "padding"))
    if isinstance(module, PlaceChannels):
        return (*spatial, 0, len(module.places))
    inputs = ("in_channels", "in_features", "input_size")
    return (*spatial, *(_any(module, names) for names in (inputs, OUTPUTS)))


def _any(module: nn.Module, names: Sequence[str]) -> int:
    return next((getattr(module, name) for name in names if hasattr(module, name)), 0)


def _first(size: object) -> int:
    size = size[0] if isinstance(size, tuple) else size
    return size if isinstance(size, int) else 0  # a padding may be said in words


def _log(size: int) -> float:
    return log2(1 + size) / 8
