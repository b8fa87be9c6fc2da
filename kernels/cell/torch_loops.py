"""The loops in PyTorch operations, for machines without a C compiler."""

from typing import Any

import torch
from torch import Tensor

from kernels.cell.schedule import Schedule
from kernels.cell.weights import Weights

_FUNCTIONS = {
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "where": torch.where,
    "maximum": lambda x, y: torch.where((x > y) | (x != x), x, y),  # keeps NaN
    "minimum": lambda x, y: torch.where((x < y) | (x != x), x, y),
}


class TorchLoops:
    """A cell's loops over time, step by step; arguments and results as in `CompiledLoops`."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        nodes = [v for level in schedule.forward for v in level if v not in schedule.layout.linears]
        self._values = {v: compile(schedule.expression(v), "cell", "eval") for v in nodes}
        self._gradients = {
            v: [(i, compile(text, "cell", "eval")) for i, text in schedule.gradients(v)]
            for v in nodes
        }

    def multiply(self, a: Tensor, b: Tensor) -> Tensor:
        return a @ b.T

    def project(self, x: Tensor, weights: Tensor) -> Tensor:
        return x @ weights.T

    def forward(
        self,
        projected: Tensor,
        weights: Weights,
        initial: Tensor,
        lengths: Tensor | None,
        keep: bool,
    ) -> tuple[Tensor, Tensor]:
        schedule = self.schedule
        steps, batch = projected.shape[:2]
        heads, depth = weights.on_h.shape[1:3]
        states = projected.new_empty(len(initial), steps + 1, batch, heads * depth)
        kept = projected.new_empty(len(schedule.kept), steps if keep else 1, batch, heads * depth)
        states[:, 0] = initial
        names = self._names(weights, initial)
        for t in range(steps):
            names |= {f"v{k + 1}": states[k, t] for k in range(len(initial))}
            for v in sorted(v for level in schedule.forward for v in level):
                if v in self._values:
                    names[f"v{v}"] = eval(self._values[v], names)
                else:
                    names[f"v{v}"] = self._linear(v, names, projected[t], weights)
            live = None if lengths is None else (t < lengths).unsqueeze(1)
            for k, output in enumerate(schedule.cell.outputs):
                new = names[f"v{output}"]
                states[k, t + 1] = new if live is None else torch.where(live, new, states[k, t])
            for slot, v in enumerate(schedule.kept):
                kept[slot, t if keep else 0] = names[f"v{v}"]
        shape = (heads, depth)
        return states.unflatten(3, shape), kept.unflatten(3, shape)

    def backward(
        self,
        weights: Weights,
        states: Tensor,
        kept: Tensor,
        grad_outputs: Tensor | None,
        grad_last: Tensor,
        lengths: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        schedule, layout = self.schedule, self.schedule.layout
        states, kept = states.flatten(3), kept.flatten(3)
        steps = states.shape[1] - 1
        rows = [*layout.linears, *layout.diagonals]
        grad_nodes = states.new_empty(steps, states.shape[2], len(rows), states.shape[3])
        names = self._names(weights, grad_last)
        carried = list(grad_last)
        for t in reversed(range(steps)):
            if grad_outputs is not None:
                carried[0] = carried[0] + grad_outputs[t]
            names |= self._kept_values(states, kept, t)
            live = None if lengths is None else (t < lengths).unsqueeze(1)
            gradients = {
                v: torch.zeros_like(grad_last[0]) for level in schedule.reverse for v in level
            }
            for k, output in enumerate(schedule.cell.outputs):
                gradients[output] = gradients[output] + _where(live, carried[k])
            for v in sorted((v for v in gradients if schedule.is_node(v)), reverse=True):
                if v in rows:
                    grad_nodes[t, :, rows.index(v)] = gradients[v]
                if v in layout.linears:
                    self._spread(v, gradients, weights)
                    continue
                names[f"d{v}"] = gradients[v]
                for source, code in self._gradients[v]:
                    gradients[source] = gradients[source] + eval(code, names)
            passed = [0 if live is None else torch.where(live, 0, c) for c in carried]
            carried = [gradients[k + 1] + passed[k] for k in range(len(carried))]
        return grad_nodes, torch.stack(carried)

    def _names(self, weights: Weights, like: Tensor) -> dict[str, Any]:
        """Return the names that expressions can use, except a step's values and gradients."""
        diagonals = self.schedule.layout.diagonals
        names = {f"w{v}": weights.diagonal[row] for row, v in enumerate(diagonals)}
        return {**_FUNCTIONS, **names, "full": lambda number: torch.full_like(like[0], number)}

    def _kept_values(self, states: Tensor, kept: Tensor, t: int) -> dict[str, Tensor]:
        values = {f"v{k + 1}": states[k, t] for k in range(len(states))}
        values |= {f"v{v}": kept[slot, t] for slot, v in enumerate(self.schedule.kept)}
        return values | {
            f"v{output}": states[k, t + 1] for k, output in enumerate(self.schedule.cell.outputs)
        }

    def _linear(self, v: int, names: dict[str, Any], projected: Tensor, weights: Weights) -> Tensor:
        layout = self.schedule.layout
        row = layout.linears.index(v)
        total = weights.bias[row]
        if row < layout.reading_x:
            total = total + projected[:, row]
        for matrix, (source, to) in zip(weights.on_h, layout.connections, strict=True):
            if to == row:
                total = total + _by_heads(names[f"v{source}"], matrix.transpose(1, 2))
        return total

    def _spread(self, v: int, gradients: dict[int, Tensor], weights: Weights) -> None:
        """Add a linear node's gradient to the gradients of the values that it reads."""
        layout = self.schedule.layout
        row = layout.linears.index(v)
        for matrix, (source, to) in zip(weights.on_h, layout.connections, strict=True):
            if to == row:
                gradients[source] = gradients[source] + _by_heads(gradients[v], matrix)


def _where(live: Tensor | None, value: Tensor) -> Tensor:
    return value if live is None else torch.where(live, value, 0)


def _by_heads(value: Tensor, matrix: Tensor) -> Tensor:
    """Multiply `[B, N * D]` by `[N, D, D]`, head by head."""
    heads, depth, _ = matrix.shape
    return torch.einsum("bnk,nkj->bnj", value.unflatten(1, (heads, depth)), matrix).flatten(1)
