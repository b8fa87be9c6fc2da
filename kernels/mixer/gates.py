"""Gates: how a mixer's decays and write strengths come from its input."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from kernels.mixer.spec import MixerSpec
from kernels.mixer.stabiliser import stabilised

RANK = 16  # of the gate "low-rank"
GATE_POWER = 1 / 16  # which keeps its decays near 1
SMALLEST = 1e-4  # of |2σ - 1|, whose logarithm is taken


class Values(NamedTuple):
    """What the gates say of each step.

    log_decay: `[B, H, T, 1 or K]`, or None. sign: of the decay, or None. b: `[B, H, T, n]`.
    """

    log_decay: Tensor | None
    sign: Tensor | None
    b: Tensor


class Gates(nn.Module):
    """The decays and write strengths of a mixer; see `MixerSpec.gate` for the kinds.

    Initial values: RetNet's ladder (Sun et al. 2023, https://arxiv.org/abs/2307.08621, eq. 8) for
    "constant"; A in [1, 16] and Δ log-uniform in [0.001, 0.1] for "softplus-exp" (Dao and Gu 2024,
    https://arxiv.org/abs/2405.21060); biases from 3 to 6 for the others.
    """

    def __init__(self, spec: MixerSpec, width: int) -> None:
        super().__init__()
        self.spec = spec
        own, decays = spec.recurrence, spec.heads * spec.recurrence.decays
        is_mamba = spec.gate == "softplus-exp" and decays > 0
        self.strength = self.decay = self.speed = self.constant = None
        if spec.strength == "gated" and (not is_mamba or own.erase != "none"):
            self.strength = nn.Linear(width, spec.heads * own.writes)
        if not decays:
            return
        if spec.gate == "constant":
            halvings = 5.0 + torch.arange(spec.heads, dtype=torch.float64)  # decays 1 - 2^-halvings
            logits = halvings * math.log(2) + torch.log1p(-torch.exp2(-halvings))  # finite for all
            logits = logits.repeat_interleave(own.decays)
            self.constant = nn.Parameter(logits.to(torch.get_default_dtype()))
        elif spec.gate == "low-rank":
            rank = min(RANK, width)
            self.decay = nn.Sequential(nn.Linear(width, rank, bias=False), nn.Linear(rank, decays))
        else:
            self.decay = nn.Linear(width, decays)
            bias = torch.linspace(3, 6, decays)
            if is_mamba:
                self.speed = nn.Parameter(torch.empty(decays).uniform_(1, 16).log())
                times = torch.empty(decays).uniform_(math.log(1e-3), math.log(0.1)).exp()
                bias = times + torch.log(-torch.expm1(-times))  # softplus of it is times
            with torch.no_grad():
                self.decay.bias.copy_(bias)

    def forward(self, x: Tensor) -> Values:
        """Return the gates of `[B, T, C]`; exponential gates still need `stabilised_gates`."""
        log_decay, sign, b = self._decay(x)
        if self.strength is not None:
            b = self._heads(self.strength(x))
            if self.spec.gate != "exponential":
                b = b.sigmoid() * (2 if reflects(self.spec) else 1)
        if b is None:
            b = x.new_ones(x.shape[0], self.spec.heads, x.shape[1], self.spec.recurrence.writes)
        return Values(log_decay, sign, b)

    def _decay(self, x: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Return log |a|, its sign, and b where the decay's Δ is its strength."""
        spec = self.spec
        if self.constant is not None:
            logs = functional.logsigmoid(self.constant).expand(*x.shape[:2], -1)
            return self._heads(logs), None, None
        if self.decay is None:
            return None, None, None
        logits = self.decay(x)
        if self.speed is not None:
            times = functional.softplus(logits)
            b = self._heads(times).mean(-1, keepdim=True)
            b = b.expand(-1, -1, -1, spec.recurrence.writes)
            return self._heads(-times * self.speed.exp()), None, b
        if spec.low == -1 and not reflects(spec):
            decay = torch.tanh(logits / 2)  # 2σ - 1
            logs = decay.abs().clamp(min=SMALLEST).log()
            return self._heads(logs), self._heads(decay.detach().sign()), None
        power = GATE_POWER if spec.gate == "low-rank" else 1.0
        return self._heads(power * functional.logsigmoid(logits)), None, None

    def _heads(self, x: Tensor) -> Tensor:
        """Turn `[B, T, H · n]` into `[B, H, T, n]`."""
        return x.unflatten(-1, (self.spec.heads, -1)).transpose(1, 2)


def reflects(spec: MixerSpec) -> bool:
    """Return whether a write can reflect its key, as the eigenvalue 1 - b goes down to -1."""
    return spec.low == -1 and spec.recurrence.erase != "none"


def with_resets(values: Values, resets: Tensor | None) -> Values:
    """Return gates that clear the state before the steps in `resets`, booleans `[B, T]`."""
    if resets is None:
        return values
    logs = values.log_decay
    if logs is None:
        logs = torch.zeros_like(values.b[..., :1])
    return values._replace(log_decay=logs.masked_fill(resets[:, None, :, None], -torch.inf))


def stabilised_gates(
    values: Values, maximum: Tensor | None, lengths: Tensor | None
) -> tuple[Values, Tensor, Tensor]:
    """Return exponential gates in range, the maxima `[B, H, T]` and the last ones `[B, H]`.

    maximum: before the first step, `[B, H]`, or None.
    """
    logs = torch.zeros_like(values.b) if values.log_decay is None else values.log_decay
    logs, strengths, maxima = stabilised(logs[..., 0], values.b[..., 0], maximum)
    last = maxima[..., -1]
    if lengths is not None:
        at = (lengths - 1).clamp(min=0)[:, None, None].expand(-1, maxima.shape[1], 1)
        before = torch.zeros_like(last) if maximum is None else maximum
        last = torch.where((lengths > 0).unsqueeze(-1), maxima.gather(-1, at).squeeze(-1), before)
    return Values(logs.unsqueeze(-1), None, strengths.exp().unsqueeze(-1)), maxima, last
