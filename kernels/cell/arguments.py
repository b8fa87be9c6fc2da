"""What recurrent layers and networks are called with, checked."""

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
    """Raises `ValueError` when a size does not match: x is `[B, T, features]` with a step or more,
    each of so many states `[B, units]`, lengths `[B]` from 0 to T."""
    if x.ndim != 3 or x.shape[2] != features:
        raise ValueError(f"x is {tuple(x.shape)}, expected [B, T, {features}]")
    if x.shape[1] == 0:
        raise ValueError(f"x is {tuple(x.shape)}: there is no step to run")
    expected = (x.shape[0], units)
    if state is not None and (
        len(state) != states or any(tuple(s.shape) != expected for s in state)
    ):
        shapes = [tuple(s.shape) for s in state]
        raise ValueError(f"state is {shapes}, expected {states} of {expected}")
    if lengths is not None and (
        lengths.shape != x.shape[:1] or lengths.min() < 0 or lengths.max() > x.shape[1]
    ):
        raise ValueError(f"lengths must be {x.shape[0]} numbers from 0 to {x.shape[1]}")
