"""Sums over all batches, from which metrics of a whole part of the data are made."""

import torch
from torch import Tensor


class Means:
    """Means of several numbers over batches, weighted by how much each batch holds."""

    def __init__(self) -> None:
        self.weight = 0
        self.totals: list[float] = []

    def add(self, weight: int, *numbers: Tensor | float) -> None:
        values = [float(torch.as_tensor(n).detach()) * weight for n in numbers]
        self.totals = [
            a + b for a, b in zip(self.totals or [0.0] * len(values), values, strict=True)
        ]
        self.weight += weight

    def values(self) -> list[float]:
        """Return the means; raises `ValueError` if there was nothing to count."""
        if not self.weight:
            raise ValueError("nothing to measure: no example has a target that counts")
        return [total / self.weight for total in self.totals]


class ErrorSums:
    """Errors of predictions `[B]` or `[B, …]` over all batches, in double precision."""

    def __init__(self) -> None:
        self.examples = 0
        self.absolute = self.squared = self.target = self.target_squared = torch.zeros(())

    def add(self, predicted: Tensor, targets: Tensor) -> None:
        p, t = (x.detach().double().reshape(len(x), -1).cpu() for x in (predicted, targets))
        self.examples += len(t)
        self.absolute = self.absolute + (p - t).abs().sum(0)
        self.squared = self.squared + (p - t).square().sum(0)
        self.target = self.target + t.sum(0)
        self.target_squared = self.target_squared + t.square().sum(0)

    @property
    def mse(self) -> float:
        return float(self.squared.mean()) / self.examples

    @property
    def mae(self) -> float:
        return float(self.absolute.mean()) / self.examples

    @property
    def r2(self) -> float:
        """The share of the targets' variance that is explained, a mean over the outputs."""
        spread = self.target_squared - self.target.square() / self.examples
        return float((1 - self.squared / spread.clamp(min=1e-12)).mean())
