"""What each operation of a traced network does to the channels of its input."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor, fx, nn

from compress.structure.channels import (
    Channels,
    Labels,
    States,
    added,
    indexed,
    moved,
    reduced,
    reshaped,
    squeezed,
)
from compress.structure.place_channels import PlaceChannels
from kernels.cell.layer import CompiledRNN

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
MIXING = (nn.Softmax, nn.LogSoftmax, nn.Softmin, nn.GLU, nn.MultiheadAttention, nn.PReLU)
ALONG_THE_LAST = (nn.Linear, nn.RNNBase, CompiledRNN)  # they read the last axis of their input
CHANNELWISE = ("activation", "pooling", "dropout", "upsampling")  # modules of torch.nn.modules
# functions and methods by name
SAME = {
    *("relu", "relu_", "relu6", "gelu", "silu", "elu", "leaky_relu", "sigmoid", "tanh"),
    *("hardtanh", "hardswish", "clamp", "neg", "abs", "sqrt", "dropout"),
    *("contiguous", "clone", "float", "to", "detach", "interpolate"),
    *("max_pool1d", "max_pool2d", "avg_pool1d", "avg_pool2d"),
    *("adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_max_pool2d"),
}
ELEMENTWISE = {
    *("add", "add_", "iadd", "sub", "isub", "mul", "mul_", "imul", "truediv", "div"),
    *("maximum", "minimum"),
}
SHAPES_ONLY = {"size", "dim", "getattr", "new_zeros", "new_ones", "zeros_like", "ones_like"}
PASSED_ON = ("state",)  # of an answer: it is handed back and may have any width
RESHAPES = {"flatten", "view", "reshape"}
REDUCTIONS = {"mean", "sum", "amax"}


@dataclass(frozen=True)
class Layer:
    """A module with channels of its own.

    reads: labels of its input's channels, None where they are not followed.
    makes: labels of its output's channels; of a recurrent layer one array for each layer and
        direction, in PyTorch's order. Of a norm or a depthwise convolution they are those it reads.
    """

    path: str
    reads: np.ndarray | None
    makes: tuple[np.ndarray, ...]

    @property
    def is_maker(self) -> bool:
        return self.reads is None or self.makes[0] is not self.reads


class Follower(fx.Interpreter):
    """Runs the traced network and follows the channels of every tensor beside its value."""

    def __init__(self, traced: fx.GraphModule) -> None:
        super().__init__(traced, garbage_collect_values=False)
        self.labels = Labels()
        self.channels: dict[fx.Node, Any] = {}
        self.layers: list[Layer] = []
        self.tied = tied_modules(traced)

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        self.channels[n] = self._follow(n, value)
        return value

    def _follow(self, node: fx.Node, value: Any) -> Any:
        given = fx.map_arg(node.args, lambda n: self.channels[n])
        values = fx.map_arg(node.args, lambda n: self.env[n])
        self.labels.fix(fx.map_arg(node.kwargs, lambda n: self.channels[n]))
        if node.op == "call_module":
            module = self.module.get_submodule(str(node.target))
            return self._module(str(node.target), module, given, values, value)
        if node.op in ("call_function", "call_method"):
            name = node.target if isinstance(node.target, str) else node.target.__name__  # type: ignore[union-attr]
            return self._function(str(name), node, given, values, value)
        if node.op == "output":
            self.labels.fix(given)
        return None

    def _module(
        self,
        path: str,
        module: nn.Module,
        given: Sequence[Any],
        values: Sequence[Any],
        value: Any,
    ) -> Any:
        source = given[0] if given else None
        if any(layer.path == path for layer in self.layers):  # called a second time
            self.labels.fix([source, *_layer(self.layers, path)])
            return None
        if self._has_own_axis(module) and not self._reads(path, module, source, values[0]):
            self.labels.fix(source)
            source = None
        if isinstance(module, CONVOLUTIONS) and module.groups > 1:
            if module.groups != module.in_channels or module.groups != module.out_channels:
                self.labels.fix(source)
                return None
            return self._same(path, source)
        if isinstance(module, (*CONVOLUTIONS, PlaceChannels)):
            return self._new(path, source, value.shape[1], 1)
        if isinstance(module, nn.Linear):
            return self._new(path, source, value.shape[-1], value.dim() - 1)
        if isinstance(module, NORMS):
            return self._same(path, source)
        if isinstance(module, nn.RNNBase):
            return self._recurrent(path, module, source, given[1:], values[1:])
        if isinstance(module, CompiledRNN):
            return self._cell(path, module, source, given[1:], values[1:])
        if isinstance(module, nn.Flatten) and isinstance(source, Channels):
            return self._or_fixed(reshaped(source, values[0], value), source)
        kind = type(module).__module__.removeprefix("torch.nn.modules.")
        if isinstance(module, nn.Identity) or (
            kind in CHANNELWISE and not isinstance(module, MIXING)
        ):
            return source
        self.labels.fix(list(given))
        return None

    def _has_own_axis(self, module: nn.Module) -> bool:
        return isinstance(module, (*CONVOLUTIONS, *NORMS, PlaceChannels, *ALONG_THE_LAST))

    def _reads(self, path: str, module: nn.Module, source: Any, value: Tensor) -> bool:
        """Whether a layer reads channels along the axis on which they were followed, with weights
        that no other layer has."""
        last = isinstance(module, ALONG_THE_LAST)
        axis = value.dim() - 1 if last else 1
        return isinstance(source, Channels) and source.dim == axis and path not in self.tied

    def _new(self, path: str, source: Any, width: int, dim: int) -> Channels:
        made = self.labels.new(width)
        if path in self.tied:
            self.labels.fix(Channels(made, dim))
        reads = source.labels if isinstance(source, Channels) else None
        self.layers.append(Layer(path, reads, (made,)))
        return Channels(made, dim)

    def _same(self, path: str, source: Any) -> Any:
        if isinstance(source, Channels):
            self.layers.append(Layer(path, source.labels, (source.labels,)))
        return source

    def _recurrent(
        self, path: str, module: nn.RNNBase, source: Any, states: Any, values: Sequence[Any]
    ) -> Any:
        self.labels.fix(states)
        directions = 2 if module.bidirectional else 1
        made = tuple(
            self.labels.new(module.hidden_size) for _ in range(module.num_layers * directions)
        )
        if module.proj_size or path in self.tied or any(v is not None for v in values):
            self.labels.fix([Channels(m, 0) for m in made])
        reads = source.labels if isinstance(source, Channels) else None
        self.layers.append(Layer(path, reads, made))
        output = Channels(np.concatenate(made[-directions:]), 2)
        last = States(made)
        return output, ((last, last) if isinstance(module, nn.LSTM) else last)

    def _cell(
        self, path: str, module: CompiledRNN, source: Any, states: Any, values: Sequence[Any]
    ) -> Any:
        """A layer of any cell. Heads, masks and wirings tie units to places: those stay."""
        self.labels.fix(states)
        made = self.labels.new(module.hidden_size)
        plain = type(module) is CompiledRNN and module.num_heads == 1 and module.mask is None
        if not plain or path in self.tied or any(value is not None for value in values):
            self.labels.fix([Channels(made, 0), source])
        reads = source.labels if isinstance(source, Channels) else None
        self.layers.append(Layer(path, reads, (made,)))
        return Channels(made, 2), tuple(Channels(made, 1) for _ in range(module.cell.states))

    def _function(
        self, name: str, node: fx.Node, given: Sequence[Any], values: Sequence[Any], value: Any
    ) -> Any:
        source = given[0] if given else None
        if name == "getitem" and isinstance(source, tuple):
            return source[values[1]]
        if name == "getitem" and isinstance(source, States) and isinstance(values[1], int):
            return Channels(source.each[values[1]], 1)
        if name in SHAPES_ONLY:
            return None
        if not isinstance(value, Tensor):
            names = getattr(node.target, "_fields", (None,) * len(given))
            self.labels.fix([g for n, g in zip(names, given, strict=True) if n not in PASSED_ON])
            return None
        if name in ELEMENTWISE:
            return added(self.labels, list(zip(given, values, strict=True)))
        if name in ("cat", "concat"):
            return self._concatenated(node, source, values, value)
        if not isinstance(source, Channels):
            self.labels.fix(list(given))
            return None
        return self._or_fixed(self._moved(name, node, source, values, value), given)

    def _moved(
        self, name: str, node: fx.Node, source: Channels, values: Sequence[Any], value: Tensor
    ) -> Channels | None:
        """Where the channels of the first argument are in the result, None if not followed."""
        before = values[0]
        if name in SAME:
            return source
        if name in RESHAPES:
            return reshaped(source, before, value)
        if name in REDUCTIONS:
            axes = node.kwargs.get("dim", values[1] if len(values) > 1 else None)
            return reduced(source, before, value, axes)
        if name == "getitem":
            return indexed(source, values[1])
        if name in ("squeeze", "unsqueeze"):
            return squeezed(source, before, value, node.kwargs.get("dim", values[-1]))
        if name in ("transpose", "swapaxes"):
            order = list(range(before.dim()))
            a, b = values[1:3]
            order[a], order[b] = order[b], order[a]
            return moved(source, before, order)
        if name == "permute":
            order = values[1] if isinstance(values[1], (tuple, list)) else values[1:]
            return moved(source, before, order)
        return None

    def _concatenated(
        self, node: fx.Node, parts: Any, values: Sequence[Any], value: Tensor
    ) -> Channels | None:
        axis = node.kwargs.get("dim", values[1] if len(values) > 1 else 0)
        if not all(isinstance(part, Channels) for part in parts):
            self.labels.fix(parts)
            return None
        if int(axis) % value.dim() == parts[0].dim:  # type: ignore[arg-type]
            return Channels(np.concatenate([part.labels for part in parts]), parts[0].dim)
        return added(self.labels, list(zip(parts, values[0], strict=True)))

    def _or_fixed(self, result: Channels | None, given: Any) -> Channels | None:
        if result is None:
            self.labels.fix(given)
        return result


def tied_modules(model: nn.Module) -> set[str]:
    """Paths of modules that share a parameter with another one."""
    owners: dict[nn.Parameter, set[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        owners.setdefault(parameter, set()).add(name.rpartition(".")[0])
    return {path for paths in owners.values() if len(paths) > 1 for path in paths}


def _layer(layers: Sequence[Layer], path: str) -> list[Channels]:
    found = next(layer for layer in layers if layer.path == path)
    reads = () if found.reads is None else (found.reads,)
    return [Channels(labels, 0) for labels in (*reads, *found.makes)]
