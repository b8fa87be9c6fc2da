"""Times a sparse LSTM against PyTorch's dense one and ours, on one thread.

python tests/benchmarks/sparse_speed.py [ROUNDS]

One layer of 512 units, 100 steps. Recurrent weights are removed by magnitude; the rest are read as
lists. The three are timed in turns of a few calls each.
"""

import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from kernels.cell.layer import CompiledRNN
from kernels.cell.spec import CellSpec
from kernels.cell.zoo import ZOO

HIDDEN, STEPS, CALLS = 512, 100, 5
GATES = {0: 0, 1: 1, 2: 3, 3: 2}  # ours: input, forget, output, new; PyTorch's: i, f, g, o


def pair(inputs: int, level: float) -> tuple[CompiledRNN, nn.LSTM, Tensor]:
    """Return our layer, PyTorch's with the same pruned weights, and the mask."""
    generator = torch.Generator().manual_seed(0)
    ours = CompiledRNN(CellSpec.from_recipe(ZOO["lstm"]), inputs, HIDDEN, generator=generator)
    theirs = nn.LSTM(inputs, HIDDEN, batch_first=True)
    with torch.no_grad():
        size = ours.on_h.abs().flatten()
        mask = ours.on_h.abs() > size.kthvalue(round(level * size.numel())).values
        ours.on_h.mul_(mask)
        theirs.bias_hh_l0.zero_()
        for our_gate, gate in GATES.items():
            rows = slice(HIDDEN * gate, HIDDEN * (gate + 1))
            theirs.weight_ih_l0[rows] = ours.on_x[our_gate]
            theirs.weight_hh_l0[rows] = ours.on_h[our_gate, 0]
            theirs.bias_ih_l0[rows] = ours.bias[our_gate]
    return ours, theirs, mask


def milliseconds(functions: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the median time per call over the rounds."""
    found: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds + 2):
        for name, function in functions.items():
            function()
            started = time.perf_counter()
            for _ in range(CALLS):
                function()
            found[name].append((time.perf_counter() - started) / CALLS * 1e3)
    return {name: statistics.median(times[2:]) for name, times in found.items()}


def main(rounds: int) -> None:
    torch.set_num_threads(1)
    print(f"{HIDDEN} units, {STEPS} steps, one thread, medians of {rounds} rounds of {CALLS} calls")
    print("inputs  level  batch  nn.LSTM ms  dense ms  sparse ms  ratio  largest difference")
    for inputs in (64, 128, 512):
        for level in (0.9, 0.95):
            ours, theirs, mask = pair(inputs, level)
            dense = CompiledRNN(ours.cell, inputs, HIDDEN)
            dense.load_state_dict(ours.state_dict())
            ours.keep_only(mask)
            for batch in (1, 16):
                x = torch.randn(batch, STEPS, inputs)
                with torch.inference_mode():
                    difference = (ours(x)[0] - theirs(x)[0]).abs().max()
                    timed = milliseconds(
                        {
                            "theirs": lambda: theirs(x),  # noqa: B023
                            "dense": lambda: dense(x),  # noqa: B023
                            "sparse": lambda: ours(x),  # noqa: B023
                        },
                        rounds,
                    )
                print(
                    f"{inputs:6d}  {level:5.2f}  {batch:5d}  {timed['theirs']:10.2f}  "
                    f"{timed['dense']:8.2f}  {timed['sparse']:9.2f}  "
                    f"{timed['theirs'] / timed['sparse']:5.2f}  {difference:.0e}"
                )


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 9)
