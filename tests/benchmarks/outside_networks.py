"""Networks that nobody of this project wrote, narrowed to half of every group of channels.

python -m tests.benchmarks.outside_networks [--write FILE] [--without-peer] [NAME …]

Needs an environment of its own, with what outside_networks.txt names:
    python -m venv ENV && ENV/bin/pip install torch==2.13.0 numpy triton
    ENV/bin/pip install --no-deps -r tests/benchmarks/outside_networks.txt
For each network prints: how many of its layers can be narrowed; the largest difference between the
narrowed network and the whole one whose removed channels nothing reads, relative to the outputs;
how many times fewer parameters and how many times faster it is; whether it can be trained; and the
same for Torch-Pruning with its defaults and the same half.
"""

import argparse
import copy
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from compress.structure.exactness import halved, silenced
from compress.structure.graph import Graph, graph_of
from compress.structure.narrow import narrowed
from compress.structure.networks import answered, copied, tensors_in
from compress.structure.trial import training_fails
from tests.benchmarks.outside_zoo import ZOO

LAYERS = (nn.Linear, nn.modules.conv._ConvNd, nn.RNNBase, nn.RNNCellBase, nn.Embedding)
HEAD = (
    "| network | layers narrowed | exact | fewer, faster | trains "
    "| Torch-Pruning: fewer, faster | seconds |"
)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*")
    parser.add_argument("--write", type=Path)
    parser.add_argument("--without-peer", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    lines = [HEAD, "|---|---|---|---|---|---|---|"]
    print("\n".join(lines), flush=True)
    for name in asked.names or ZOO:
        lines.append(_row(name, asked.without_peer))
        print(lines[-1], flush=True)
        if asked.write:
            asked.write.write_text("\n".join(lines) + "\n")


def _row(name: str, is_alone: bool) -> str:
    torch.manual_seed(0)
    try:
        model, example = ZOO[name]()
    except Exception as error:
        return f"| {name} | cannot be made: {_first_line(error)} |"
    look_trained(model)
    started = time.perf_counter()
    try:
        cells = _ours(model, example)
    except Exception as error:
        cells = ["–", "–", f"fails: {_first_line(error)}", "–"]
    seconds = time.perf_counter() - started
    theirs = "–" if is_alone else _peer(model, example)
    return f"| {name} | {' | '.join(cells)} | {theirs} | {seconds:.0f} |"


def look_trained(model: nn.Module) -> None:
    """Give norms, scales and heads values that are not those of a fresh network."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for module in model.modules():
            if (
                isinstance(module, nn.modules.batchnorm._BatchNorm)
                and module.running_mean is not None
            ):
                module.running_mean.normal_(0, 0.1, generator=generator)
                module.running_var.uniform_(0.5, 1.5, generator=generator)
        for parameter in model.parameters():
            if parameter.dim() == 1 or not parameter.any():
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
            elif parameter.abs().max() < 1e-3:
                parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))


def _ours(model: nn.Module, example: Any) -> list[str]:
    graph = graph_of(model, example)
    makers = {maker.partition("#")[0] for group in graph.groups for maker in group.makers}
    layers = [path for path, module in model.named_modules() if isinstance(module, LAYERS)]
    count = f"{sum(path in makers for path in layers)}/{len(layers)}"
    if not graph.groups:
        return [count, "nothing to test", "1.0, 1.0", "–"]
    left = graph.left(halved(graph.groups, np.random.default_rng(0)))
    smaller = narrowed(model, graph, left)
    fewer, faster = size(model) / size(smaller), _times_faster(model, smaller, example)
    fails = training_fails(copy.deepcopy(smaller), example)
    is_trainable = training_fails(copied(model), example) is None
    trains = "yes" if fails is None else (fails if is_trainable else "nor does the whole")
    return [count, difference(model, graph, example), f"{fewer:.2f}, {faster:.2f}", trains]


def difference(model: nn.Module, graph: Graph, example: Any) -> str:
    """The largest difference of the answers, as a share of their scale, in float64."""
    rng = np.random.default_rng(0)
    even = tuple(g for g in graph.groups if g.is_exact or g.width % 2 == 0)
    left = graph.left(halved(even, rng))
    whole, smaller = silenced(model, graph, left), narrowed(model, graph, left)
    try:
        pair = [outputs(m.double().eval(), _doubled(example)) for m in (whole, smaller)]
    except (RuntimeError, TypeError):
        whole, smaller = silenced(model, graph, left), narrowed(model, graph, left)
        pair = [outputs(m.eval(), example) for m in (whole, smaller)]
    worst, vacuous = 0.0, True
    for a, b, c in zip(*pair, outputs(model.eval(), example), strict=True):
        scale = float(a.abs().max()) or 1.0
        worst = max(worst, float((a - b).abs().max()) / scale)
        vacuous &= torch.allclose(a.float(), c.float(), atol=1e-6 * scale)
    return f"{worst:.0e}" + (" (vacuous)" if vacuous else "")


def _doubled(example: Any) -> Any:
    if isinstance(example, Tensor):
        return example.double() if example.is_floating_point() else example
    if isinstance(example, dict):
        return {name: _doubled(value) for name, value in example.items()}
    return tuple(_doubled(value) for value in example)


def outputs(model: nn.Module, example: Any) -> list[Tensor]:
    torch.manual_seed(0)
    with torch.no_grad():
        return list(tensors_in(answered(model, example)))


def size(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def _times_faster(model: nn.Module, smaller: nn.Module, example: Any) -> float:
    return _seconds(model, example) / _seconds(smaller, example)


def _seconds(model: nn.Module, example: Any, times: int = 7) -> float:
    taken = []
    for _ in range(times + 1):
        started = time.perf_counter()
        outputs(model.eval(), example)
        taken.append(time.perf_counter() - started)
    return float(np.median(taken[1:]))


def _peer(model: nn.Module, example: Any) -> str:
    import torch_pruning as tp

    smaller = copy.deepcopy(model)
    try:
        before = [t.shape for t in outputs(smaller, example)]
        kinds = (nn.Linear, nn.modules.conv._ConvNd)
        last = [m for m in smaller.modules() if isinstance(m, kinds)][-1]
        heads = [m for n, m in smaller.named_modules() if isinstance(m, kinds) and _is_head(n)]
        tp.pruner.MagnitudePruner(
            smaller,
            example,
            importance=tp.importance.MagnitudeImportance(p=2),
            pruning_ratio=0.5,
            ignored_layers=[last, *heads],
        ).step()
        if [t.shape for t in outputs(smaller, example)] != before:
            return "fails: the outputs have another shape"
        return f"{size(model) / size(smaller):.2f}, {_times_faster(model, smaller, example):.2f}"
    except Exception as error:
        return f"fails: {_first_line(error)[:60]}"


def _is_head(name: str) -> bool:
    return name.rpartition(".")[2] in ("fc", "head", "classifier", "out", "lm_head", "final")


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:80]}"


if __name__ == "__main__":
    main()
