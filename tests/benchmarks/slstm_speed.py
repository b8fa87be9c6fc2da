"""Times an sLSTM layer, 4 heads of 64 units, 512 steps, batch 16, forward and backward.

Run as `python tests/benchmarks/slstm_speed.py [THREADS]`. The layer reads 64 and 256 inputs: with
256, products with x are most of the work. `reference` is our own loop, gate by gate, as in
`nas bench kernels`. The eager loop is the best we could write: it multiplies with x for all steps
at once, and with all four gates' matrices of a head together. Then `torch.compile` compiles its
step; the whole loop takes longer than ten minutes. Prints the largest relative differences from the
loop in float64, and how fast parity is learnt.
"""

import sys
import time

import torch
from torch import Tensor, nn
from torch.nn import functional

from kernels.cell.layer import set_backend
from kernels.cell.op import compile_cell
from kernels.layers import Recurrent
from nas.bench.kernels import machine
from nas.reporting.table import aligned
from tests.benchmarks.ragged_layers import in_turn

BATCH, STEPS, HEADS, DEPTH = 16, 512, 4, 64
Leaves = list[Tensor]


def main(threads: int) -> None:
    torch.set_num_threads(threads)
    about = [f"{name} {text}" for name, text in machine().items()]
    print(", ".join([*about, torch.backends.cpu.get_cpu_capability(), f"{threads} threads"]))
    for inputs in (64, 256):
        compare(inputs)
    learn_parity()


def compare(inputs: int) -> None:
    torch.manual_seed(0)
    layer = Recurrent("slstm", inputs, HEADS * DEPTH, num_heads=HEADS, batch_first=True)
    x, compiled = torch.randn(BATCH, STEPS, inputs), torch.compile(one_step)
    runs = {
        "reference": lambda: both(layer, x, None, "reference"),
        "eager loop": lambda: both(layer, x, one_step),
        "torch.compile": lambda: both(layer, x, compiled),
        "ours": lambda: both(layer, x, None, "auto"),
    }
    exact = both(layer.double(), x.double(), one_step)
    layer.float()
    rows = []
    for name, run in runs.items():
        started = time.perf_counter()
        found = run()
        first = time.perf_counter() - started
        errors = [
            float((a.double() - b).abs().max() / b.abs().max())
            for a, b in zip(found, exact, strict=True)
        ]
        rows.append([name, first, max(errors)])
    seconds = in_turn(list(runs.values()))
    lines = [
        [name, f"{1e3 * s:.0f}", f"{s / seconds[-1]:.2f}", f"{first:.1f}", f"{error:.0e}"]
        for (name, first, error), s in zip(rows, seconds, strict=True)
    ]
    head = [f"{inputs} inputs", "ms", "to ours", "first call s", "error"]
    print("\n".join(aligned([head, *lines])))
    print(f"{compile_cell(layer.cell).compile_seconds:.2f} s to compile or load")


def one_step(
    gates: Tensor, on_h: Tensor, h: Tensor, c: Tensor, n: Tensor, m: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """gates: `[B, 4, N, D]`, the products with x; on_h: `[N, D, 4 D]`; states: `[B, N, D]`."""
    read = torch.einsum("bnd,ndk->bnk", h, on_h).unflatten(2, (4, -1)).transpose(1, 2)
    add, forget, new, output = (gates + read).unbind(1)
    kept = functional.logsigmoid(forget) + m
    largest = torch.maximum(kept, add)
    keep, add = torch.exp(kept - largest), torch.exp(add - largest)
    c, n = keep * c + add * torch.tanh(new), keep * n + add
    return torch.sigmoid(output) * c / n, c, n, largest


def both(layer: Recurrent, x: Tensor, step, backend: str = "auto") -> Leaves:
    """Return the outputs and all gradients; step: that of the loop, None for our layer."""
    layer.zero_grad()
    set_backend(layer, backend)
    x = x.detach().requires_grad_()
    outputs = layer(x)[0] if step is None else loop(layer, x, step)
    outputs.square().sum().backward()
    return [outputs.detach(), *(p.grad.clone() for p in (x, *layer.parameters()))]


def loop(layer: Recurrent, x: Tensor, step) -> Tensor:
    weights = layer.layers[0].weights()
    gates = torch.einsum("btc,ghc->tbgh", x, weights.on_x) + weights.bias
    gates = gates.unflatten(3, (HEADS, DEPTH))
    on_h = weights.on_h.permute(1, 3, 0, 2).flatten(2)  # [N, D, 4 D]
    states = (x.new_zeros(len(x), HEADS, DEPTH),) * 4
    outputs = []
    for gate in gates.unbind(0):
        states = step(gate, on_h, *states)
        outputs.append(states[0])
    return torch.stack(outputs, dim=1).flatten(2)


def learn_parity(steps: int = 40, batch: int = 64) -> None:
    """Learn whether the number of ones so far is odd, at every step; print how long it takes."""
    torch.manual_seed(0)
    layer, head = Recurrent("slstm", 2, 64, num_heads=4, batch_first=True), nn.Linear(64, 2)
    weights = [*layer.parameters(), *head.parameters()]
    optimizer = torch.optim.Adam(weights, 0.005)
    started = time.perf_counter()
    update, accuracy = 0, 0.0
    while accuracy < 0.999 and update < 3000:
        update += 1
        bits = torch.randint(0, 2, (batch, steps))
        answers = head(layer(functional.one_hot(bits, 2).float())[0])
        right = bits.cumsum(1) % 2
        loss = functional.cross_entropy(answers.flatten(0, 1), right.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        accuracy = float((answers.argmax(2) == right).float().mean())
    seconds = time.perf_counter() - started
    print(f"parity of up to {steps} bits: accuracy {accuracy:.4f} after {update} updates,", end=" ")
    print(f"{seconds:.0f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
