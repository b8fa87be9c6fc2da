"""Everything that a GPU must show, in one command of at most 8 minutes.

python -m tests.benchmarks.gpu

Runs the tests marked `gpu`; times cells beside an eager loop and PyTorch's layers, forward and
backward, in float32 and bfloat16; and times LSTMs of several heads at the sizes of FlashRNN's
figures (https://arxiv.org/abs/2412.07752). Writes `results/gpu.md`, which names the machine.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from kernels.cell.layer import CompiledRNN
from kernels.cell.spec import CellSpec
from kernels.cell.zoo import ZOO
from nas.bench import kernels
from nas.core.files import write_atomically

SECONDS = 480
RESULTS = Path(__file__).parent / "results" / "gpu.md"
CELLS = {name: CellSpec.from_recipe(ZOO[name]) for name in ("lstm", "gru", "rnn-tanh")}
STEPS, BATCH, WIDTH, HEADS = 1024, 16, 768, (48, 24, 12, 6)


def tests() -> str:
    """Return the last line of the tests that need a GPU."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "tests/kernels/cell/gpu"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS / 2)
    return f"`pytest -m gpu`: {done.stdout.strip().splitlines()[-1]}"


def cells(dtype: torch.dtype) -> str:
    """Return the table of `nas bench kernels`."""
    setting = kernels.Setting(dtype=dtype, device="cuda")
    rows = list(kernels.measure(CELLS, ("64", "600", "nas-bench-nlp"), (20,), setting, 3))
    return f"{setting}\n\n```\n{kernels.table(rows)}\n```"


def heads() -> str:
    """Return a table of LSTMs in bfloat16, by the number of heads."""
    x = torch.randn(BATCH, STEPS, WIDTH, device="cuda", dtype=torch.bfloat16, requires_grad=True)
    lines = [
        f"| LSTM, B {BATCH}, T {STEPS}, bfloat16 | forward ms | and backward ms |",
        "|---|---|---|",
    ]
    for number in HEADS:
        layer = CompiledRNN(CELLS["lstm"], WIDTH, WIDTH, number).to(x)

        def forward(layer: CompiledRNN = layer) -> None:
            with torch.inference_mode():
                layer(x)

        def both(layer: CompiledRNN = layer) -> None:
            layer(x)[0].sum().backward()

        taken = [1e3 * t for t in kernels.medians([forward, both], 3, "cuda")]
        size = f"{number} heads of {WIDTH // number}"
        lines.append(f"| {size} | {taken[0]:.2f} | {taken[1]:.2f} |")
    return "\n".join(lines)


PARTS: dict[str, Callable[[], str]] = {
    "Tests": tests,
    "Cells in float32": lambda: cells(torch.float32),
    "Cells in bfloat16": lambda: cells(torch.bfloat16),
    "Heads": heads,
}


def main() -> None:
    """Write the parts for which there is time; a part that fails says why."""
    if not torch.cuda.is_available():
        sys.exit("this measures a GPU, and PyTorch sees none: run it on a machine with one")
    started = time.monotonic()
    about = ", ".join(f"{name} {value}" for name, value in kernels.machine().items())
    text = ["# On a GPU", "", about]
    for title, part in PARTS.items():
        try:
            left = SECONDS - (time.monotonic() - started)
            found = part() if left > SECONDS / 8 else "not measured: the 8 minutes were over"
        except Exception as error:  # the other parts still count
            found = f"failed: {type(error).__name__}: {str(error).partition(chr(10))[0]}"
        text += ["", f"## {title}", "", found]
        print(f"{title}\n{found}\n", flush=True)
        write_atomically(RESULTS, "\n".join(text) + "\n")


if __name__ == "__main__":
    main()
