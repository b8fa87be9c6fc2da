"""Recurrences in chunks of steps as matrix products: portable, and fast on matrix units.

Only adding: Yang et al. 2024, https://arxiv.org/abs/2312.06635, section 4.3, with exponents that
refer to the first row of a block of rows, so that none exceeds 0. Erasing: the triangular solve of
Yang et al. 2024, https://arxiv.org/abs/2406.06484, section 3.2, over C·n rows for n writes (Siems
et al. 2025, https://arxiv.org/abs/2502.10297, appendix). Logarithms are summed in float64: after a
reset their differences would otherwise be lost in a large sum.
"""

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from kernels.mixer.arguments import Arguments
from kernels.mixer.spec import Recurrence

STEPS = 64  # of a chunk
ROWS = 16  # of a block whose exponents refer to its first row
RESET = {torch.float32: -90.0, torch.float64: -700.0}  # stands for log 0: exp of it is 0


def in_chunks(
    recurrence: Recurrence, given: Arguments, steps: int = STEPS
) -> tuple[Tensor, Tensor]:
    """Return the outputs `[B, H, T, V]` and the last state `[B, H, K, V]`.

    steps: C, the steps of a chunk.
    """
    total = given.q.shape[2]
    size = min(steps, total)
    given = _padded(_ended(given), -total % size)
    q, k, e, b, v, until, at_writes = _folded(given, size)
    written = torch.arange(size, device=q.device).repeat_interleave(recurrence.writes)
    is_later = written > torch.arange(size, device=q.device).unsqueeze(1)
    reads = _decayed(q, k, until, at_writes).masked_fill(is_later, 0)
    update, erased = b * v, None
    if recurrence.erase != "none":
        lower = b * _decayed(e, k, at_writes, at_writes).tril(-1)
        both = torch.cat([update, b * _scaled(e, at_writes)], -1)
        solved = torch.linalg.solve_triangular(lower, both, upper=False, unitriangular=True)
        update, erased = solved[..., : recurrence.values], solved[..., recurrence.values :]
    q_in, k_out, kept = _scaled(q, until), k, None
    if until is not None and at_writes is not None:
        last = until[..., -1:, :]
        k_out, kept = _scaled(k, last - at_writes), last.to(q.dtype).exp()
    if given.sign is not None and kept is not None:
        ends = given.sign.unflatten(2, (-1, size)).prod(3, keepdim=True)
        k_out, kept = k_out * ends, kept * ends
    state, outputs = given.state, []
    for c in range(q.shape[2]):
        u = update[:, :, c] if erased is None else update[:, :, c] - erased[:, :, c] @ state
        outputs.append(q_in[:, :, c] @ state + reads[:, :, c] @ u)
        before = state if kept is None else kept[:, :, c].mT * state
        state = before + k_out[:, :, c].mT @ u
    result = torch.cat(outputs, 2)[:, :, :total]
    if given.lengths is not None:
        result = result.masked_fill(_ends(given, total).unsqueeze(-1), 0)
    return result, state


class _Folded(NamedTuple):
    """The tensors of all chunks: rows are steps, or writes for all but q and until.

    q, k and e carry the signs of their decays. until: log |a| summed from the chunk's first step.
    """

    q: Tensor
    k: Tensor
    e: Tensor
    b: Tensor
    v: Tensor
    until: Tensor | None
    at_writes: Tensor | None


def _folded(given: Arguments, size: int) -> _Folded:
    def fold(tensor: Tensor) -> Tensor:
        return tensor.unflatten(2, (-1, size))

    writes = given.k.shape[3]
    q, k, v = fold(given.q), fold(given.k).flatten(3, 4), fold(given.v).flatten(3, 4)
    e = k if given.e is None else fold(given.e).flatten(3, 4)
    until = at_writes = None
    if given.log_decay is not None:
        logs = fold(given.log_decay)
        until = logs.clamp(min=RESET[logs.dtype]).double().cumsum(3)
        at_writes = until.repeat_interleave(writes, 3)
    if given.sign is not None:
        signs = fold(given.sign).cumprod(3)
        each = signs.repeat_interleave(writes, 3)
        q, k, e = q * signs, k * each, e * each
    return _Folded(q, k, e, fold(given.b).flatten(3, 4).unsqueeze(-1), v, until, at_writes)


def _ends(given: Arguments, total: int) -> Tensor:
    """Return where the sequences have ended, `[B, 1, T]`."""
    assert given.lengths is not None
    steps = torch.arange(total, device=given.q.device)
    return (steps >= given.lengths.unsqueeze(-1)).unsqueeze(1)


def _ended(given: Arguments) -> Arguments:
    """Return arguments that leave the state as it is once a sequence has ended."""
    if given.sign is not None and given.log_decay is not None:
        is_zero = given.sign == 0
        logs = given.log_decay.masked_fill(is_zero, float("-inf"))
        given = replace(given, sign=given.sign.masked_fill(is_zero, 1), log_decay=logs)
    if given.lengths is None:
        return given
    ends = _ends(given, given.q.shape[2]).unsqueeze(-1)
    b, logs, sign = given.b.masked_fill(ends, 0), given.log_decay, given.sign
    return replace(
        given,
        b=b,
        log_decay=None if logs is None else logs.masked_fill(ends, 0),
        sign=None if sign is None else sign.masked_fill(ends, 1),
    )


def _padded(given: Arguments, count: int) -> Arguments:
    """Return the arguments with `count` steps at the end that do nothing."""
    if not count:
        return given

    def pad(tensor: Tensor | None, value: float = 0) -> Tensor | None:
        if tensor is None:
            return None
        return functional.pad(tensor, (0, 0) * (tensor.dim() - 3) + (0, count), value=value)

    tensors = {name: pad(getattr(given, name)) for name in ("q", "k", "v", "b", "e", "log_decay")}
    return replace(given, **tensors, sign=pad(given.sign, 1))


def _scaled(x: Tensor, logs: Tensor | None) -> Tensor:
    return x if logs is None else x * logs.to(x.dtype).exp()


def _decayed(x: Tensor, k: Tensor, at_x: Tensor | None, at_k: Tensor | None) -> Tensor:
    """Return A[i, l] = Σ_d x[i, d] k[l, d] exp(at_x[i, d] - at_k[l, d]) for l up to i.

    x: `[…, I, K]`, k: `[…, L, K]`, the rows of the same steps in order; later l have any value.
    """
    if at_x is None or at_k is None:
        return x @ k.mT
    if at_x.shape[-1] == 1:
        return (x @ k.mT) * (at_x - at_k.mT).clamp(max=0).to(x.dtype).exp()
    rows_x, rows_k = x.shape[-2], k.shape[-2]
    blocks = []
    for first in range(0, rows_x, ROWS):
        rows = slice(first, min(first + ROWS, rows_x))
        start, stop = first * rows_k // rows_x, -(-rows.stop * rows_k // rows_x)
        origin = at_x[..., first : first + 1, :]
        own = (at_x[..., rows, :] - origin).to(x.dtype)
        theirs = (at_k[..., start:stop, :] - origin).to(x.dtype)
        near = (own.unsqueeze(-2) - theirs.unsqueeze(-3)).clamp(max=0).exp()
        products = x[..., rows, None, :] * k[..., None, start:stop, :]
        block = [(near * products).sum(-1)]
        if start:
            before = _scaled(k[..., :start, :], (origin - at_k[..., :start, :]).clamp(max=0))
            block.insert(0, (x[..., rows, :] * own.exp()) @ before.mT)
        blocks.append(functional.pad(torch.cat(block, -1), (0, rows_k - stop)))
    return torch.cat(blocks, -2)
