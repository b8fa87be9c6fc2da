"""The weights of a cell: four tensors for any cell, in the same order for all implementations."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from torch import Tensor

from kernels.cell.spec import CellSpec, InvalidCell


class Weights(NamedTuple):
    """All weights of a cell of H units in N heads of D units, H = N·D.

    bias: `[linear nodes, H]`
    on_x: `[linear nodes that read x, H, C]`
    on_h: `[connections, N, D, D]`: a head's new units read only the same head of the source
    diagonal: `[diagonal nodes, H]`
    """

    bias: Tensor
    on_x: Tensor
    on_h: Tensor
    diagonal: Tensor


@dataclass(frozen=True, slots=True)
class Layout:
    """The tensor rows of each node; values are numbered as in `CellSpec`.

    linears: the linear nodes in the order of `Weights.bias`; those that read x come first.
    reading_x: how many of them read x; they are the rows of `Weights.on_x`.
    connections: (value read, row of the linear node) in the order of `Weights.on_h`, sorted so
        that the readers of a value are adjacent.
    diagonals: the diagonal nodes in the order of `Weights.diagonal`.
    """

    linears: tuple[int, ...]
    reading_x: int
    connections: tuple[tuple[int, int], ...]
    diagonals: tuple[int, ...]

    def shapes(
        self, input_size: int, hidden_size: int, heads: int = 1
    ) -> dict[str, tuple[int, ...]]:
        """Return the shape of each tensor of `Weights`."""
        depth = hidden_size // heads
        return {
            "bias": (len(self.linears), hidden_size),
            "on_x": (self.reading_x, hidden_size, input_size),
            "on_h": (len(self.connections), heads, depth, depth),
            "diagonal": (len(self.diagonals), hidden_size),
        }


@lru_cache(maxsize=4096)
def layout_of(cell: CellSpec) -> Layout:
    """Return the layout of a cell's weights.

    Raises `InvalidCell` if a linear node reads a value twice.
    """
    values = {cell.states + 1 + k: node for k, node in enumerate(cell.nodes)}
    linears = [value for value, node in values.items() if node.op == "linear"]
    for value in linears:
        inputs = values[value].inputs
        if len(set(inputs)) < len(inputs):
            name = cell.value_names()[value]
            raise InvalidCell(f'node "{name}" reads a value twice: remove one of the inputs')
    linears.sort(key=lambda value: 0 not in values[value].inputs)  # stable
    return Layout(
        linears=tuple(linears),
        reading_x=sum(0 in values[value].inputs for value in linears),
        connections=tuple(
            sorted(
                (source, row)
                for row, value in enumerate(linears)
                for source in values[value].inputs
                if source != 0
            )
        ),
        diagonals=tuple(value for value, node in values.items() if node.op == "diagonal"),
    )


def adjacent(connections: tuple[tuple[int, int], ...]) -> Iterator[tuple[int, int, int]]:
    """Yield (value, first row, rows): adjacent matrices of `Weights.on_h` for one product."""
    begin = 0
    for end in range(1, len(connections) + 1):
        value, row = connections[begin]
        if end == len(connections) or connections[end] != (value, row + end - begin):
            yield value, row, end - begin
            begin = end
