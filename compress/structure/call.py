"""One call of a torch function, as the rules see it."""

from typing import Any

import numpy as np
from torch import Tensor
from torch.utils._pytree import tree_leaves

from compress.structure.labels import Axes
from compress.structure.sizes import Attribute, Size
from compress.structure.trace import TensorTable


class Call:
    """One call of a torch function, as its rule sees it.

    tensors: all tensors among the arguments.
    results: all tensors that it returned.
    """

    def __init__(
        self, table: TensorTable, func: Any, name: str, args: tuple, kwargs: dict, result: Any
    ) -> None:
        self.table, self.trace, self.labels = table, table.trace, table.labels
        self.func, self.name, self.args, self.kwargs = func, name, args, kwargs
        self.result = result
        self.tensors = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
        self.results = [t for t in tree_leaves(result) if isinstance(t, Tensor)]

    def get(self, place: int, name: str, default: Any = None) -> Any:
        """Return an argument by its place or its name."""
        if name in self.kwargs:
            return self.kwargs[name]
        return self.args[place] if place < len(self.args) else default

    def numbers(self, place: int, name: str) -> tuple:
        """Return the integers passed from a place on, as a tuple or one by one."""
        if name in self.kwargs:
            given = self.kwargs[name]
        else:
            given = self.args[place:]
            if len(given) == 1 and isinstance(given[0], (tuple, list)):
                given = given[0]
        return (given,) if isinstance(given, int) else tuple(given)

    def axes(self, tensor: Tensor) -> Axes:
        """Return the labels of each axis of a tensor."""
        stack = self.table.stack(tensor)
        if stack is not None:  # used as one tensor: all its layers lose the same units
            every = stack.reshape(-1, stack.shape[-1])
            for other in every[1:]:
                self.labels.unite(every[0], other)
            return (*(None,) * (tensor.dim() - 1), every[0])
        return self.table.axes(tensor)

    def stacked(self, stack: np.ndarray) -> Axes:
        """Note that the first result holds the states of several layers; return its axes."""
        self.table.stacks[self.results[0]] = stack
        return (None,) * self.results[0].dim()

    def unite(self, some: np.ndarray | None, others: np.ndarray | None) -> np.ndarray | None:
        """Unite two axes of the same length and return the labels of the result.

        If one axis has no labels, the other must stay and the result has none.
        """
        if some is None or others is None:
            self.labels.fix(some, self.reason())
            self.labels.fix(others, self.reason())
            return None
        self.labels.unite(some, others)
        return some

    def fix(self, tensor: Any, reason: str | None = None) -> None:
        """Keep all channels of a tensor whole."""
        if isinstance(tensor, Tensor):
            for labels in self.axes(tensor):
                self.labels.fix(labels, reason or self.reason())

    def fix_axis(self, labels: np.ndarray | None) -> None:
        """Keep the channels of an axis whole."""
        self.labels.fix(labels, self.reason())

    def size(self, number: Any, labels: np.ndarray | None) -> None:
        """Note that an argument is the length of an axis with these labels."""
        if not isinstance(number, Size) or labels is None:
            return
        if isinstance(number.source, Attribute):
            self.trace.sizes.append((number.source, labels, number.share))
        elif number.source is not labels:
            self.labels.tie((number.source, labels))

    def fix_if_used(self, labels: np.ndarray) -> None:
        """Keep these channels whole if the results' values are used, not only their shapes."""
        for result in self.results:
            held = self.table.pending.get(result) or []
            self.table.pending[result] = [*held, (labels, self.reason())]

    def makes(self, weight: Any, labels: np.ndarray | None) -> None:
        """Note which layer makes these channels."""
        if labels is not None:
            self.trace.makers.append((self.layer(weight), labels))

    def reads(self, labels: np.ndarray | None) -> None:
        """Note that a layer reads channels along this axis of its weight."""
        if labels is not None:
            self.trace.reads.append(labels)

    def layer(self, weight: Any) -> str:
        """Return the path of the layer that holds a weight, or that runs."""
        name = self.table.names.get(id(weight))
        return self.table.where() if name is None else name.rpartition(".")[0]

    def reason(self) -> str:
        """Return why channels cannot be traced further here."""
        return f"{self.name} in {self.table.where() or 'the network'} needs all of them"
