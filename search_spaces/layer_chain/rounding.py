"""How far two computations of the same logits may differ by rounding alone."""

import torch
from torch import Tensor

OWN, SUMS = 4, 64  # steps of the dtype itself, and of float32, in which sums are kept


def difference(found: Tensor, expected: Tensor) -> float:
    """Return the largest absolute difference; infinite if only one of both is a number."""
    if found.shape != expected.shape:
        return float("inf")
    gap = (found.double() - expected.double()).abs()
    return float(gap.nan_to_num(nan=float("inf")).max()) if gap.numel() else 0.0


def tolerance(expected: Tensor, dtype: torch.dtype | None = None) -> float:
    """Return the difference that rounding explains.

    dtype: in which the values were computed; by default, their own.
    """
    own, sums = torch.finfo(dtype or expected.dtype).eps, torch.finfo(torch.float32).eps
    share = OWN * own + (0 if own < sums else SUMS * sums)
    return share * max(float(expected.double().abs().max()), 1e-30)


def agrees(found: Tensor, expected: Tensor, dtype: torch.dtype | None = None) -> bool:
    """Return whether values are equal up to rounding."""
    return difference(found, expected) <= tolerance(expected, dtype)
