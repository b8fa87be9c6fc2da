"""What a trace knows: of the network as a whole, and of each tensor while it runs."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor, nn
from torch.utils.weak import WeakIdKeyDictionary

from compress.structure.labels import Axes, Labels
from compress.structure.sizes import Attribute


class Blocks:
    """Labels of an axis that differ between blocks of the first axis, as in a grouped convolution.

    labels: `[blocks, places]`.
    """

    def __init__(self, labels: np.ndarray) -> None:
        self.labels = labels


@dataclass
class Trace:
    """What one call of a network showed.

    axes: labels of the parameters and buffers that were used, by name.
    makers: (path of the layer, labels that it makes), in the order of the calls.
    reads: labels of weights along which a layer reads what another layer made.
    sizes: (attribute, labels, share): the attribute is `share` times the number of labels.
    leaves: labels that a module with a rule of its own reads and makes, by its path.
    averaged: labels over which a mean is taken.
    multiplied: labels over which the product of two activations is summed.
    steps: the name of each call and the labels of its results.
    unknown: operations that no rule describes, by name, with the place of the first.
    """

    labels: Labels = field(default_factory=Labels)
    axes: dict[str, list[Any]] = field(default_factory=dict)
    makers: list[tuple[str, np.ndarray]] = field(default_factory=list)
    reads: list[np.ndarray] = field(default_factory=list)
    sizes: list[tuple[Attribute, np.ndarray, Any]] = field(default_factory=list)
    leaves: dict[str, tuple[np.ndarray | None, np.ndarray]] = field(default_factory=dict)
    averaged: list[np.ndarray] = field(default_factory=list)
    multiplied: list[np.ndarray] = field(default_factory=list)
    steps: list[tuple[str, tuple[Axes, ...]]] = field(default_factory=list)
    unknown: dict[str, str] = field(default_factory=dict)


class TensorTable:
    """What is known of each tensor while a network runs.

    names: of parameters and buffers, by the identity of the tensor.
    place: paths of the modules that run, the innermost last.
    known: labels of each axis of the tensors that operations made.
    pending: labels, with the reason, that must stay if the tensor is used.
    derived: tensors computed from parameters alone.
    uniform: tensors that hold one value everywhere, or noise.
    stacks: labels `[layers, …, units]` of tensors that hold the states of several recurrent layers.
    """

    def __init__(self, model: nn.Module) -> None:
        self.trace = Trace()
        self.labels = self.trace.labels
        self.place: list[str] = [""]
        self.names: dict[int, str] = {}
        for name, tensor in (*model.named_parameters(), *model.named_buffers()):
            self.names.setdefault(id(tensor), name)
        self.known = WeakIdKeyDictionary()
        self.pending = WeakIdKeyDictionary()
        self.derived = WeakIdKeyDictionary()
        self.uniform = WeakIdKeyDictionary()
        self.stacks = WeakIdKeyDictionary()

    def axes(self, tensor: Tensor) -> Axes:
        """Return the labels of each axis of a tensor; parameters get theirs when first asked."""
        name = self.names.get(id(tensor))
        if name is None:
            found = self.known.get(tensor)
            return (None,) * tensor.dim() if found is None else found
        if name not in self.trace.axes:
            self.trace.axes[name] = [self.fresh(size) for size in tensor.shape]
        return tuple(None if isinstance(a, Blocks) else a for a in self.trace.axes[name])

    def made(self, tensor: Tensor, axes: Axes, *, from_weights: bool) -> None:
        """Note the labels of a tensor that an operation made."""
        if id(tensor) in self.names:
            return
        self.known[tensor] = axes
        if from_weights:
            self.derived[tensor] = True

    def used(self, tensor: Tensor) -> None:
        """Keep the channels that this tensor was taken from by number: its values matter."""
        for labels, reason in self.pending.pop(tensor, ()):
            self.labels.fix(labels, reason)

    def is_weight(self, tensor: Tensor) -> bool:
        """Return whether a tensor is a parameter or computed from parameters alone."""
        return id(tensor) in self.names or tensor in self.derived

    def fresh(self, size: int) -> np.ndarray | None:
        """Return new labels for an axis; an axis of one place needs none."""
        return self.labels.new(int(size)) if size > 1 else None

    def stack(self, tensor: Tensor) -> np.ndarray | None:
        """Return the labels of a tensor that holds the states of several layers, else None."""
        return self.stacks.get(tensor)

    def where(self) -> str:
        """Return the path of the module that runs."""
        return self.place[-1]
