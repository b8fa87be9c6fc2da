"""Recurrences step by step in PyTorch: slow, but easy to check by hand."""

from typing import NamedTuple

import torch
from torch import Tensor

from kernels.mixer.arguments import Arguments
from kernels.mixer.spec import Recurrence


class Step(NamedTuple):
    """The tensors of one step, see `Arguments`; decay is a."""

    q: Tensor
    k: Tensor
    v: Tensor
    b: Tensor
    e: Tensor | None
    decay: Tensor | None


def reference(recurrence: Recurrence, given: Arguments) -> tuple[Tensor, Tensor]:
    """Return the outputs `[B, H, T, V]` and the last state `[B, H, K, V]`."""
    state, outputs, steps = given.state, [], _steps(given)
    for t in range(given.q.shape[2]):
        now = Step(*(None if each is None else each[:, :, t] for each in steps))  # type: ignore
        after, output = reference_step(recurrence, state, now)
        if given.lengths is not None:
            is_live = (t < given.lengths)[:, None, None]
            output = torch.where(is_live, output, 0)
            after = torch.where(is_live.unsqueeze(-1), after, state)
        state = after
        outputs.append(output)
    return torch.stack(outputs, 2), state


def reference_step(recurrence: Recurrence, state: Tensor, now: Step) -> tuple[Tensor, Tensor]:
    """Return the state after one step, `[B, H, K, V]`, and its output `[B, H, V]`."""
    if now.decay is not None:
        state = now.decay.unsqueeze(-1) * state
    for j in range(recurrence.writes):
        key, written = now.k[:, :, j], now.v[:, :, j]
        if recurrence.erase != "none":
            erased = key if now.e is None else now.e[:, :, j]
            written = written - (erased.unsqueeze(-2) @ state).squeeze(-2)
        written = now.b[:, :, j, None] * written
        state = state + key.unsqueeze(-1) * written.unsqueeze(-2)
    return state, (now.q.unsqueeze(-2) @ state).squeeze(-2)


def scanned(recurrence: Recurrence, given: Arguments) -> tuple[Tensor, Tensor]:
    """Return what `reference` returns, as one `scan`, which is traced without a loop.

    Raises `ValueError` for lengths.
    """
    from torch._higher_order_ops.scan import scan  # slow; only exporters need it

    if given.lengths is not None:
        raise ValueError("exported recurrences take no lengths")
    steps = _steps(given)
    present = {name: each for name, each in steps._asdict().items() if each is not None}
    rows = tuple(each.movedim(2, 0).clone() for each in present.values())  # no views, says scan

    def step(state: Tensor, now: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        named = {**dict.fromkeys(Step._fields), **dict(zip(present, now, strict=True))}
        after, output = reference_step(recurrence, state, Step(**named))  # type: ignore[arg-type]
        return after.clone(), output

    last, outputs = scan(step, given.state.clone(), rows, dim=0)
    return outputs.movedim(0, 2), last


def _steps(given: Arguments) -> Step:
    """Return the tensors of all steps, with time as the third axis."""
    return Step(given.q, given.k, given.v, given.b, given.e, given.decay())
