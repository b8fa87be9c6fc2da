"""What the tests of narrowing share: the answers of the narrowed and of the silenced network."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from compress.structure.exactness import halved, silenced
from compress.structure.graph import Graph, graph_of
from compress.structure.narrow import narrowed
from compress.structure.networks import answered, copied, tensors_in
from compress.structure.trial import training_fails


def in_doubles(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.double() if value.is_floating_point() else value
    if isinstance(value, dict):
        return {name: in_doubles(each) for name, each in value.items()}
    return tuple(in_doubles(each) for each in value)


def answers(model: nn.Module, example: Any) -> list[Tensor]:
    with torch.no_grad():
        return list(tensors_in(answered(model, example)))


def check_exact(model: nn.Module, example: Any) -> tuple[Graph, nn.Module]:
    """Narrow every group to half: the network must agree with the whole one in which nothing reads
    the removed channels, in float64, and it must train. Returns the graph and the narrowed one."""
    model = _looking_trained(copied(model)).double().eval()
    example = in_doubles(example)
    graph = graph_of(model, example)
    left = graph.left(halved(graph.groups, np.random.default_rng(1)))
    smaller = narrowed(model, graph, left)
    whole = silenced(model, graph, left)
    for small, full in zip(answers(smaller, example), answers(whole, example), strict=True):
        torch.testing.assert_close(small, full, atol=1e-11, rtol=1e-9)
    assert training_fails(copied(smaller), example) is None
    assert not graph.trace.unknown
    return graph, smaller


def _looking_trained(model: nn.Module) -> nn.Module:
    """Norms and biases that could not be mistaken for none."""
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            if tensor.dim() == 1 and tensor.is_floating_point():
                tensor.add_(0.3 * torch.rand(tensor.shape, generator=generator))
    return model


def widths(graph: Graph) -> dict[str, int]:
    """By the first maker of each group its width."""
    return {group.makers[0]: group.width for group in graph.groups}


def size(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())
