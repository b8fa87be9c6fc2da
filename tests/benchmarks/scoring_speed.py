"""Times hidden covariance against a reimplementation of the published procedure.

Run as `python tests/benchmarks/scoring_speed.py FILE.jsonl WIKITEXT_FOLDER [RECIPES]`. The
reimplementation does what the published procedure does in one pass: step by step in PyTorch, one
product per connection, then `np.corrcoef` and `np.linalg.eig` for each of three layers; its weights
are made before the clock starts. All three run in turn in this process with one thread. Times are
processor seconds, which exclude other programs, and the least of three measurements. The original
takes six passes for all its scores; we compare with one.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[2]))

from nas.bench.recipes import read_table
from nas.bench.scores import PROXY, PUBLISHED
from nas.core.registry import load_task
from nas.core.task import Batch
from nas.scores.hidden_covariance import HiddenCovariance
from search_spaces.rnn_cell.recipe import cell_of
from search_spaces.rnn_cell.space import RnnCellSpace
from search_spaces.space import ModelShape

ACTIVATIONS = {
    "activation_tanh": torch.tanh,
    "activation_sigm": torch.sigmoid,
    "activation_leaky_relu": nn.functional.leaky_relu,
}
GOAL, PROXY_GOAL = 1.5, 20.0


class EagerLayer(nn.Module):
    """A cell that runs its nodes one by one at every step."""

    def __init__(self, cell, inputs: int, units: int) -> None:
        super().__init__()
        self.cell, self.units = cell, units
        self.matrices = nn.ModuleDict(
            {
                f"{k}-{source}": nn.Linear(inputs if source == 0 else units, units, bias=i == 0)
                for k, node in enumerate(cell.nodes)
                if node.op == "linear"
                for i, source in enumerate(node.inputs)
            }
        )

    def step(self, x, states):
        values = [x, *states]
        for k, node in enumerate(self.cell.nodes):
            read = [values[i] for i in node.inputs]
            if node.op == "linear":
                pairs = zip(node.inputs, read, strict=True)
                value = sum(self.matrices[f"{k}-{i}"](v) for i, v in pairs)
            elif node.op == "blend":
                value = read[0] * read[1] + (1 - read[0]) * read[2]
            elif node.op in ("elementwise_sum", "elementwise_prod"):
                value = read[0]
                for other in read[1:]:
                    value = value + other if node.op == "elementwise_sum" else value * other
            else:
                value = ACTIVATIONS[node.op](read[0])
            values.append(value)
        return [values[i] for i in self.cell.outputs]


def restated(layers: list[EagerLayer], embedded: torch.Tensor) -> None:
    """Compute hidden covariance of all layers from embedded inputs `[T, B, C]`."""
    x = list(embedded)
    entering = []
    with torch.no_grad():
        for layer in layers:
            states = [torch.zeros(len(x[0]), layer.units) for _ in range(layer.cell.states)]
            seen, outputs = [], []
            for step in x:
                seen.append(states[0])
                states = layer.step(step, states)
                outputs.append(states[0])
            entering.append(torch.stack(seen, dim=2).numpy())  # [B, H, T]
            x = outputs
    for states in entering:
        rows = states.transpose(1, 0, 2).reshape(states.shape[1], -1)
        eigenvalues, _ = np.linalg.eig(np.corrcoef(rows))
        -np.sum(np.log(eigenvalues + 1e-5) + 1 / (eigenvalues + 1e-5))


def seconds(functions: list[Callable[[], object]]) -> list[float]:
    """Return each function's least processor seconds in three rounds, after a warm-up call."""
    taken = [[] for _ in functions]
    for round_ in range(4):
        for function, times in zip(functions, taken, strict=True):
            started = time.process_time()
            function()
            if round_:
                times.append(time.process_time() - started)
    return [min(times) for times in taken]


def main(table: str, data: str, count: str = "8") -> None:
    torch.set_num_threads(1)
    task = load_task("language-model", {"data": Path(data)})
    batch: Batch = task.score_batch(0)
    score, generator = HiddenCovariance(), torch.Generator()
    recipes = read_table(Path(table))
    # the table starts with RNN, LSTM and GRU; add an even sample of the others
    others = np.linspace(3, len(recipes) - 1, max(0, int(count) - 3)).astype(int)
    rows = []
    for recipe in [*recipes[:3], *(recipes[i] for i in others)]:
        cell = cell_of(recipe.architecture)
        models = [
            RnnCellSpace()
            .build(recipe.architecture, ModelShape(task.shape, size), generator.manual_seed(0))
            .eval()
            for size in (PUBLISHED, PROXY)
        ]
        widths = [(400, 600), (600, 600), (600, 400)]
        layers = [EagerLayer(cell, i, o) for i, o in widths]
        embedded = models[0].embedding(batch.inputs.T).detach()  # type: ignore[operator]
        runs = [
            lambda a=layers, e=embedded: restated(a, e),
            *(lambda m=model: score(m, batch, generator) for model in models),
        ]
        try:
            rows.append(seconds(runs))
        except ValueError as error:
            print(f"{recipe.architecture.digest()}: {error}")
            continue
        original, full, proxy = rows[-1]
        print(
            f"{len(cell.nodes):2} nodes: restated {original:.3f} s, full {full:.3f} s "
            f"({original / full:.2f}×), proxy {proxy:.4f} s ({original / proxy:.0f}×)",
            flush=True,
        )
    full, proxy = (np.array([row[0] / row[i] for row in rows]) for i in (1, 2))
    print(
        f"median ratio at full size {np.median(full):.2f} (least {full.min():.2f}), asked {GOAL}; "
        f"of the proxy {np.median(proxy):.1f} (least {proxy.min():.1f}), asked {PROXY_GOAL}"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
