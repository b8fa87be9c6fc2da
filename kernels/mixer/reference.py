"""Recurrences step by step in PyTorch: slow, but easy to check by hand."""

import torch
from torch import Tensor

from kernels.mixer.arguments import Arguments
from kernels.mixer.spec import Recurrence


def reference(recurrence: Recurrence, given: Arguments) -> tuple[Tensor, Tensor]:
    """Return the outputs `[B, H, T, V]` and the last state `[B, H, K, V]`."""
    state, outputs = given.state, []
    decay = given.decay()
    for t in range(given.q.shape[2]):
        before = state
        if decay is not None:
            state = decay[:, :, t].unsqueeze(-1) * state
        for j in range(recurrence.writes):
            key, written = given.k[:, :, t, j], given.v[:, :, t, j]
            if recurrence.erase != "none":
                erased = key if given.e is None else given.e[:, :, t, j]
                written = written - (erased.unsqueeze(-2) @ state).squeeze(-2)
            written = given.b[:, :, t, j, None] * written
            state = state + key.unsqueeze(-1) * written.unsqueeze(-2)
        output = (given.q[:, :, t].unsqueeze(-2) @ state).squeeze(-2)
        if given.lengths is not None:
            is_live = (t < given.lengths)[:, None, None]
            output = torch.where(is_live, output, 0)
            state = torch.where(is_live.unsqueeze(-1), state, before)
        outputs.append(output)
    return torch.stack(outputs, 2), state
