"""The loops in PyTorch operations, for machines without a C compiler."""

from typing import Any

import torch
from torch import Tensor

from kernels.cell.rows import Rows
from kernels.cell.schedule import Schedule
from kernels.cell.weight_gradients import OnlyLoops
from kernels.cell.weights import Weights

_FUNCTIONS = {
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "exp": torch.exp,
    "log": torch.log,
    "sqrt": torch.sqrt,
    "softplus": lambda x: torch.logaddexp(x, torch.zeros_like(x)),
    "normal_cdf": torch.special.ndtr,
    "where": torch.where,
    "maximum": lambda x, y: torch.where((x > y) | (x != x), x, y),  # keeps NaN
    "minimum": lambda x, y: torch.where((x < y) | (x != x), x, y),
}
_REDUCED = {"sum": torch.sum, "mean": torch.mean, "largest": torch.amax}


class TorchLoops(OnlyLoops):
    """A cell's loops over time, step by step; arguments and results as in `CompiledLoops`."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        nodes = [v for level in schedule.forward for v in level if v not in schedule.layout.linears]
        self._values = {v: compile(schedule.expression(v), "cell", "eval") for v in nodes}
        self._gradients = {
            v: [(i, compile(text, "cell", "eval")) for i, text in schedule.gradients(v)]
            for v in nodes
        }

    def width(self, depth: int) -> int:
        return depth

    def steps_forward(
        self,
        projected: Tensor,
        weights: Weights,
        initial: Tensor,
        rows: Rows,
        keep: bool,
    ) -> tuple[Tensor, Tensor]:
        schedule, batch = self.schedule, rows.batch
        heads, depth = weights.on_h.shape[1:3]
        states = projected.new_empty(len(initial), batch + rows.total, heads * depth)
        kept = projected.new_empty(len(schedule.kept), rows.total if keep else 0, heads * depth)
        states[:, :batch] = initial
        names, old = self._names(weights, initial), 0
        for begin, end in rows.spans():
            before = states[:, old : old + end - begin]
            names |= {f"v{k + 1}": state for k, state in enumerate(before)}
            for v in sorted(v for level in schedule.forward for v in level):
                if schedule.reduction(v):
                    names |= self._statistics(v, names, heads)
                if v in self._values:
                    names[f"v{v}"] = eval(self._values[v], names)
                else:
                    names[f"v{v}"] = self._linear(v, names, projected[begin:end], weights)
            for k, output in enumerate(schedule.cell.outputs):
                states[k, batch + begin : batch + end] = names[f"v{output}"]
            for slot, v in enumerate(schedule.kept if keep else ()):
                kept[slot, begin:end] = names[f"v{v}"]
            old = batch + begin
        return states.unflatten(2, (heads, depth)), kept.unflatten(2, (heads, depth))

    def steps_backward(
        self,
        weights: Weights,
        states: Tensor,
        kept: Tensor,
        grad_outputs: Tensor | None,
        grad_last: Tensor,
        rows: Rows,
    ) -> tuple[Tensor, Tensor]:
        schedule, layout = self.schedule, self.schedule.layout
        states, kept = states.flatten(2), kept.flatten(2)
        nodes = [*layout.linears, *layout.diagonals]
        grad_nodes = states.new_empty(rows.total, len(nodes), states.shape[2])
        names, carried = self._names(weights, grad_last), grad_last.clone()
        spans = rows.spans()
        olds = [0, *(rows.batch + begin for begin, _ in spans)]
        for (begin, end), old in reversed(list(zip(spans, olds, strict=False))):
            running = end - begin
            above = carried[:, :running].clone()
            if grad_outputs is not None:
                above[0] += grad_outputs[begin:end]
            names |= {f"v{k + 1}": s[old : old + running] for k, s in enumerate(states)}
            names |= {f"v{v}": kept[slot, begin:end] for slot, v in enumerate(schedule.kept)}
            new = states[:, rows.batch + begin : rows.batch + end]
            names |= {f"v{output}": new[k] for k, output in enumerate(schedule.cell.outputs)}
            gradients = {v: torch.zeros_like(above[0]) for level in schedule.reverse for v in level}
            for k, output in enumerate(schedule.cell.outputs):
                gradients[output] = gradients[output] + above[k]
            self._step_back(gradients, names, weights)
            for row, v in enumerate(nodes):
                grad_nodes[begin:end, row] = gradients[v]
            for k in range(len(carried)):
                carried[k, :running] = gradients[k + 1]
        return grad_nodes, carried

    def _step_back(
        self, gradients: dict[int, Tensor], names: dict[str, Any], weights: Weights
    ) -> None:
        """Complete the gradients of a step's values, from those of the new states."""
        for v in sorted((v for v in gradients if self.schedule.is_node(v)), reverse=True):
            if v in self.schedule.layout.linears:
                self._spread(v, gradients, weights)
                continue
            if self.schedule.reduction(v):
                (source,) = self.schedule.node(v).inputs
                names[f"e{v}"] = gradients[v]
                names |= self._statistics(v, names, weights.on_h.shape[1], back=True)
                gradient = eval(self.schedule.reduced_gradient(v), names)
                gradients[source] = gradients[source] + gradient
                continue
            names[f"d{v}"] = gradients[v]
            for source, code in self._gradients[v]:
                gradients[source] = gradients[source] + eval(code, names)

    def _names(self, weights: Weights, like: Tensor) -> dict[str, Any]:
        """Return the names that expressions can use, except a step's values and gradients."""
        diagonals = self.schedule.layout.diagonals
        names = {f"w{v}": weights.diagonal[row] for row, v in enumerate(diagonals)}
        return {**_FUNCTIONS, **names, "full": lambda number: torch.full_like(like[0, :1], number)}

    def _statistics(
        self, v: int, names: dict[str, Any], heads: int, back: bool = False
    ) -> dict[str, Tensor]:
        """Return the statistics of a reducing node, repeated for each unit of a head."""
        found: dict[str, Tensor] = {}
        for name, kind, text in self.schedule.statistics(v, back):
            units = eval(text, {**names, **found}).unflatten(1, (heads, -1))
            reduced = _REDUCED[kind](units, 2, keepdim=True)
            found[name] = reduced.expand_as(units).flatten(1)
        return found

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


def _by_heads(value: Tensor, matrix: Tensor) -> Tensor:
    """Multiply `[B, N * D]` by `[N, D, D]`, head by head."""
    heads, depth, _ = matrix.shape
    return torch.einsum("bnk,nkj->bnj", value.unflatten(1, (heads, depth)), matrix).flatten(1)
