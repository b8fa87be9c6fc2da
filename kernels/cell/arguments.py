"""Checks the arguments of recurrent layers and networks."""

from collections.abc import Sequence

from torch import Tensor


def check_arguments(
    x: Tensor,
    features: int,
    state: Sequence[Tensor] | None,
    states: int,
    units: int,
    lengths: Tensor | None,
) -> None:
    """Raise `ValueError` if a size does not match.

    x: `[B, T, features]` with T ≥ 1. state: `states` tensors `[B, units]`. lengths: `[B]`, each
    from 0 to T.
    """
    if x.ndim != 3 or x.shape[2] != features:
        raise ValueError(f"x is {tuple(x.shape)}, expected [B, T, {features}]")
    if x.shape[1] == 0:
        raise ValueError(f"x is {tuple(x.shape)}: sequences need at least 1 step")
    expected = (x.shape[0], units)
    if state is not None and (
        len(state) != states or any(tuple(s.shape) != expected for s in state)
    ):
        shapes = [tuple(s.shape) for s in state]
        raise ValueError(f"state is {shapes}, expected {states} tensors of {expected}")
    if lengths is not None and (
        lengths.shape != x.shape[:1] or lengths.min() < 0 or lengths.max() > x.shape[1]
    ):
        raise ValueError(f"lengths must be {x.shape[0]} numbers from 0 to {x.shape[1]}")
