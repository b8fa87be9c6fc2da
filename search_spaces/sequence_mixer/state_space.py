"""S4D: linear systems with complex diagonal states, as a convolution and step by step."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from search_spaces.sequence_mixer.windows import State, carried


class StateSpace(nn.Module):
    """A linear system h_t = Ā h_(t-1) + x_t, y_t = 2 Re(C B̄ h_t) + D x_t for each feature.

    A starts with the eigenvalues of HiPPO-LegS without its term of rank one, B is 1, Δ is
    log-uniform in [0.001, 0.1], and Ā = exp(ΔA), B̄ = (Ā - 1) / A: S4D-LegS of Gu et al. 2022,
    https://arxiv.org/abs/2206.11893, sections 3 and 4. SiLU and a linear layer follow.

    Sequences are convolved by FFT, in O(T log T); a single step multiplies the state. The state is
    h, as `[B, C, states / 2, 2]`.
    """

    def __init__(self, states: int, width: int) -> None:
        super().__init__()
        pairs = states // 2
        frequencies = legs_frequencies(states).expand(width, -1)
        self.decay = nn.Parameter(torch.full((width, pairs), 0.5).log())  # log of -Re A
        self.frequency = nn.Parameter(frequencies.clone())  # Im A
        self.read = nn.Parameter(torch.randn(width, pairs, 2) * 0.5**0.5)  # C
        self.skip = nn.Parameter(torch.randn(width))  # D
        bounds = math.log(1e-3), math.log(0.1)
        self.pace = nn.Parameter(torch.empty(width, 1).uniform_(*bounds))  # log Δ
        self.output = nn.Linear(width, width)

    def forward(
        self, x: Tensor, state: State | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, State]:
        batch, steps, width = x.shape
        empty = x.new_zeros(batch, width, self.decay.shape[1], 2)
        before = torch.view_as_complex(carried(state, empty)[0].contiguous())
        log_kept, read = self._system()
        if steps == 1 and lengths is None:
            last = _exp(log_kept, x) * before + x[:, 0].unsqueeze(-1)
            y = 2 * (read * last).sum(-1).real.unsqueeze(1)
        else:
            times = torch.arange(steps, device=x.device)
            powers = _exp(log_kept.unsqueeze(-1) * times, x)  # Ā^t, [C, pairs, T]
            y = convolved(x, 2 * torch.einsum("cn,cnt->ct", read, powers).real)
            if state is not None:
                first = read * _exp(log_kept, x) * before
                from_before = torch.einsum("bcn,cnt->btc", first, powers)
                y = y + 2 * from_before.real
            last = self._last(x, before, log_kept, powers, lengths)
        return self.output(functional.silu(y + self.skip * x)), (torch.view_as_real(last),)

    def _system(self) -> tuple[Tensor, Tensor]:
        """Return log Ā in float64, as many turns are lost in float32, and C B̄: `[C, pairs]`."""
        a = torch.complex(-self.decay.double().exp(), self.frequency.double())
        log_kept = self.pace.double().exp() * a
        gain = torch.expm1(log_kept) / a
        read = torch.view_as_complex(self.read)
        return log_kept, read * gain.to(read.dtype)

    def _last(
        self, x: Tensor, before: Tensor, log_kept: Tensor, powers: Tensor, lengths: Tensor | None
    ) -> Tensor:
        """Return h after the last step of each sequence, complex `[B, C, pairs]`."""
        steps = x.shape[1]
        latest_first = reversed_steps(x, lengths)
        count = torch.full((x.shape[0],), steps, device=x.device) if lengths is None else lengths
        if lengths is not None:
            inside = torch.arange(steps, device=x.device) < lengths.unsqueeze(1)
            latest_first = latest_first.masked_fill(~inside.unsqueeze(-1), 0)
        kept = _exp(log_kept * count[:, None, None], x)
        return kept * before + torch.einsum("btc,cnt->bcn", latest_first.to(powers.dtype), powers)


def _exp(log: Tensor, like: Tensor) -> Tensor:
    """Return exp of complex float64 numbers in the precision of another tensor."""
    return log.exp().to(torch.complex128 if like.dtype == torch.float64 else torch.complex64)


def convolved(x: Tensor, kernel: Tensor) -> Tensor:
    """Return the causal convolution of x `[B, T, C]` with a kernel `[C, T]`, by FFT."""
    steps = x.shape[1]
    spectrum = torch.fft.rfft(x, n=2 * steps, dim=1) * torch.fft.rfft(kernel.mT, n=2 * steps, dim=0)
    return torch.fft.irfft(spectrum, n=2 * steps, dim=1)[:, :steps]


def legs_frequencies(states: int) -> Tensor:
    """Return the positive imaginary parts of the eigenvalues of HiPPO-LegS's normal part.

    Its entries are -√(n + ½) √(k + ½) below the diagonal, the opposite above it, and -½ on it (Gu
    et al. 2022, section 4.1, eq. 7), so that all real parts are -½.
    """
    roots = (torch.arange(states, dtype=torch.float64) + 0.5).sqrt()
    lower = (roots.unsqueeze(1) * roots).tril(-1)
    imaginary = torch.linalg.eigvalsh(torch.complex(torch.zeros_like(lower), lower - lower.mT))
    return imaginary[states // 2 :].to(torch.get_default_dtype())


def reversed_steps(x: Tensor, lengths: Tensor | None) -> Tensor:
    """Reverse the steps of `[B, T, C]`; those after a sequence's end stay where they are."""
    if lengths is None:
        return x.flip(1)
    steps = torch.arange(x.shape[1], device=x.device)
    ends = lengths.unsqueeze(1)
    places = torch.where(steps < ends, ends - 1 - steps, steps)
    return x.gather(1, places.unsqueeze(-1).expand_as(x))
