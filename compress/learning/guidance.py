"""Guidance: trains a student's layers to represent inputs as a guide's layers do.

Subramaniam et al. 2025, https://arxiv.org/abs/2410.20035, section 3: the loss gains
weight * Σ (1 - CKA) over the guide's layers, each compared with the student's layer at the same
relative depth. The guide is frozen and can be trained or untrained.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

LAYERS = (nn.Conv1d, nn.Conv2d, nn.Linear, nn.RNNBase)


def linear_cka(x: Tensor, y: Tensor) -> Tensor:
    """Return the centred kernel alignment of two representations, a scalar of at most 1.

    x, y: `[n, …]`, for the same n ≥ 4 inputs. The estimate is unbiased, so small batches do not
    look more alike than they are (Nguyen et al. 2021, https://arxiv.org/abs/2010.15327, eq. 3); it
    can be negative. Raises `ValueError` for fewer than 4 inputs.
    """
    if len(x) < 4:
        raise ValueError(f"alignment needs at least 4 inputs, not {len(x)}")
    a, b = (_gram(t.flatten(1)) for t in (x, y))
    norm = (_dependence(a, a) * _dependence(b, b)).clamp(min=1e-12).sqrt()
    return _dependence(a, b) / norm


def _gram(x: Tensor) -> Tensor:
    gram = x @ x.T
    return gram - torch.diag(gram.diagonal())


def _dependence(a: Tensor, b: Tensor) -> Tensor:
    """Return the Hilbert-Schmidt independence criterion of Gram matrices with zero diagonals."""
    n = len(a)
    sums = a.sum() * b.sum() / ((n - 1) * (n - 2)) - 2 / (n - 2) * a.sum(0) @ b.sum(0)
    return ((a * b).sum() + sums) / (n * (n - 3))


def guidance(student: list[Tensor], guide: list[Tensor]) -> Tensor:
    """Return Σ (1 - CKA) over the guide's layers; representations are in layer order."""
    last = len(student) - 1
    places = [round(i * last / max(1, len(guide) - 1)) for i in range(len(guide))]
    return torch.stack(
        [1 - linear_cka(student[place], shown) for place, shown in zip(places, guide, strict=True)]
    ).sum()


@contextmanager
def guided(student: nn.Module, guide: nn.Module, weight: float) -> Iterator[None]:
    """Add the guidance to the student's penalty in training mode, while the context lasts.

    student, guide: return an `Output` and take the same inputs.
    """
    guide.requires_grad_(False).eval()

    def add(model: nn.Module, arguments: tuple, options: dict[str, Any], output: Any) -> Any:
        if not model.training:
            return None
        with torch.no_grad(), _shown(guide) as wanted:
            guide(*arguments, **options)
        return output._replace(penalty=output.penalty + weight * guidance(seen, wanted))

    with _shown(student) as seen:
        handles = (
            student.register_forward_pre_hook(lambda *_: seen.clear()),
            student.register_forward_hook(add, with_kwargs=True),
        )
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


@contextmanager
def _shown(model: nn.Module) -> Iterator[list[Tensor]]:
    """Collect the layers' outputs, in the order of the calls, while the context lasts."""
    seen: list[Tensor] = []

    def note(_: nn.Module, __: tuple, output: Any) -> None:
        seen.append(output if isinstance(output, Tensor) else output[0])

    layers = [module for module in model.modules() if isinstance(module, LAYERS)]
    handles = [layer.register_forward_hook(note) for layer in layers]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()
