"""Times `kernels.layers.LSTM` against `torch.nn.LSTM` on sequences of different lengths.

Run as `python tests/benchmarks/ragged_layers.py [THREADS]`. Both read the same `PackedSequence`,
with the same weights; lengths are uniform between 1 and T. Times are medians of process time,
taken in turn. Prints the largest difference of outputs and gradients, too.
"""

import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_sequence

from kernels.layers import LSTM
from nas.bench.kernels import machine
from nas.reporting.table import aligned

SHAPES = ((32, 100, 64, 128), (32, 400, 64, 128), (16, 1000, 64, 64))  # B, T, C, H
ROUNDS = 5


def main(threads: int) -> None:
    torch.set_num_threads(threads)
    print(", ".join(f"{name} {text}" for name, text in machine().items()), f"{threads} threads")
    print(f"processor: {torch.backends.cpu.get_cpu_capability()}")
    head = ["B", "T", "C", "H", "pass", "nn.LSTM ms", "ours ms", "ratio", "difference"]
    print("\n".join(aligned([head, *(row for shape in SHAPES for row in rows(*shape))])))


def rows(batch: int, steps: int, inputs: int, hidden: int) -> list[list[str]]:
    torch.manual_seed(0)
    theirs, ours = nn.LSTM(inputs, hidden), LSTM(inputs, hidden)
    ours.load_state_dict(theirs.state_dict())
    lengths = torch.randint(1, steps + 1, (batch,)).tolist()
    parts = [torch.randn(n, inputs) for n in (steps, *lengths[1:])]
    packed = pack_sequence(parts, enforce_sorted=False)
    difference = max(
        float((a - b).abs().max() / b.abs().max())
        for a, b in zip(both(ours, packed), both(theirs, packed), strict=True)
    )
    lines = []
    for name, step in (("forward", forward), ("forward + backward", both)):
        seconds = in_turn([lambda m=m: step(m, packed) for m in (theirs, ours)])  # noqa: B023
        numbers = [f"{1e3 * s:.1f}" for s in seconds]
        ratio = f"{seconds[0] / seconds[1]:.2f}"
        sizes = [str(n) for n in (batch, steps, inputs, hidden)]
        lines.append([*sizes, name, *numbers, ratio, f"{difference:.0e}"])
    return lines


def forward(layer: nn.Module, packed: PackedSequence) -> None:
    with torch.no_grad():
        layer(packed)


def both(layer: nn.Module, packed: PackedSequence) -> list[Tensor]:
    """Return the outputs and all gradients."""
    layer.zero_grad()
    outputs = layer(packed)[0].data
    outputs.square().sum().backward()
    return [outputs.detach(), *(p.grad.clone() for p in layer.parameters() if p.grad is not None)]


def in_turn(steps: list[Callable[[], object]]) -> list[float]:
    """Return the median seconds of each step; the first round is not counted."""
    taken: list[list[float]] = [[] for _ in steps]
    for _ in range(ROUNDS + 1):
        for step, times in zip(steps, taken, strict=True):
            started = time.process_time()
            step()
            times.append((time.process_time() - started) / torch.get_num_threads())
    return [statistics.median(times[1:]) for times in taken]


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
