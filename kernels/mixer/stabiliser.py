"""Keeps exponential gates in range: divides them by a running maximum."""

import torch
from torch import Tensor

RESET = -700.0  # stands for log 0


def stabilised(
    log_decay: Tensor, log_strength: Tensor, initial: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return log decays and log strengths that are at most 0, and the maxima m, all `[…, T]`.

    The recurrence of the results has the state of the original one divided by exp(m), where
    m_t = max(log f_t + m_(t-1), i_t): Beck et al. 2024, https://arxiv.org/abs/2405.04517, eq. 15.
    All maxima are found at once as F_t + cummax(i_s - F_s), with F the sum of log f.
    initial: m before the first step, `[…]`; minus infinity when absent.
    """
    logs = log_decay.double().clamp(min=RESET)
    strengths = log_strength.double()
    total = logs.cumsum(-1)
    maxima = (strengths - total).cummax(-1).values
    if initial is None:
        before = strengths[..., :1] - logs[..., :1]  # any value: the state before is 0
    else:
        before = initial.double().unsqueeze(-1)
        maxima = torch.maximum(maxima, before)
    maxima = maxima + total
    earlier = torch.cat([before, maxima[..., :-1]], -1)
    decays = (logs + earlier - maxima).clamp(max=0)
    decays = torch.where(log_decay == -torch.inf, log_decay.double(), decays)
    results = decays, (strengths - maxima).clamp(max=0), maxima
    return tuple(each.to(log_decay.dtype) for each in results)  # type: ignore[return-value]
