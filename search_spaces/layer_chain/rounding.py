"""How far two computations of the same logits may differ by rounding alone."""

import torch
from torch import Tensor

OWN, SUMS = 4, 64  # steps of the dtype itself, and of float32, in which sums are kept
PART = 2**18  # values to compare at a time, so that large logits need little memory


def difference(found: Tensor, expected: Tensor) -> float:
    """Return the largest absolute difference; infinite if only one of both is a number."""
    if found.shape != expected.shape:
        return float("inf")
    if not found.numel():
        return 0.0
    parts = zip(found.flatten().split(PART), expected.flatten().split(PART), strict=True)
    return max(_largest_gap(*part) for part in parts)


def _largest_gap(found: Tensor, expected: Tensor) -> float:
    gap = (found.double() - expected.double()).abs()
    return float(gap.nan_to_num(nan=float("inf")).max())


def tolerance(expected: Tensor, dtype: torch.dtype | None = None) -> float:
    """Return the difference that rounding explains.

    dtype: in which the values were computed; by default, their own.
    """
    own, sums = torch.finfo(dtype or expected.dtype).eps, torch.finfo(torch.float32).eps
    share = OWN * own + (0 if own < sums else SUMS * sums)
    low, high = (float(end) for end in expected.aminmax())
    return share * max(abs(low), abs(high), 1e-30)


def agrees(found: Tensor, expected: Tensor, dtype: torch.dtype | None = None) -> bool:
    """Return whether values are equal up to rounding."""
    return difference(found, expected) <= tolerance(expected, dtype)
