"""A layer that mixes a sequence by a recurrence: projections, gates and readout around it."""

import math
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from kernels.mixer.gates import Gates, stabilised_gates, with_resets
from kernels.mixer.op import run_recurrence
from kernels.mixer.short_convolution import ShortConvolution
from kernels.mixer.spec import MixerSpec, Recurrence

SMALLEST = 1e-6  # sum of positive weights that outputs are divided by


class MixerState(NamedTuple):
    """What a step needs of the steps before it.

    matrix: `[B, H, K, V]`, with one more value feature for a normaliser.
    tail: the last inputs of the short convolution, `[B, taps - 1, features]`, or None.
    maximum: of exponential gates, `[B, H]`, or None.
    """

    matrix: Tensor | None = None
    tail: Tensor | None = None
    maximum: Tensor | None = None


class MixerLayer(nn.Module):
    """Mixes `[B, T, C]` along time into `[B, T, C]`.

    spec: the mixer. width: C.
    backend: see `run_recurrence`.
    """

    shows_states = True

    def __init__(self, spec: MixerSpec, width: int, *, backend: str = "auto") -> None:
        super().__init__()
        self.spec, self.width, self.backend = spec, width, backend
        own, heads = spec.recurrence, spec.heads
        self.recurrence = own
        if spec.normaliser:
            self.recurrence = replace(own, values=own.values + 1)
        self.sizes = spec.features
        features = sum(self.sizes.values())
        self.project = nn.Linear(width, features, bias=False)
        self.convolve = None
        if spec.short_convolution:
            self.convolve = ShortConvolution(features, spec.short_convolution)
        self.gates = Gates(spec, width)
        self.gate = self.norm = None
        if spec.readout == "gated-norm":
            self.gate = nn.Linear(width, heads * own.values, bias=False)
            self.norm = nn.RMSNorm(own.values)
        self.output = nn.Linear(heads * own.values, width, bias=False)

    def forward(
        self,
        x: Tensor,
        state: MixerState | None = None,
        lengths: Tensor | None = None,
        resets: Tensor | None = None,
    ) -> tuple[Tensor, MixerState]:
        """Return the outputs `[B, T, C]` and the state after the last step.

        x: `[B, T, C]`. lengths: steps of each sequence, `[B]`; outputs beyond them are 0.
        resets: booleans `[B, T]`, True at steps before which the state is cleared.
        """
        state = MixerState() if state is None else self._checked(state, len(x))
        features, tail = self.project(x), state.tail
        if self.convolve is not None:
            features, tail = self.convolve(features, tail, lengths, resets)
        q, k, e, v = (
            self._heads(part, size)
            for part, size in zip(
                features.split(list(self.sizes.values()), -1), self._features(), strict=True
            )
        )
        gates = self.gates(x)
        if self.spec.feature_map == "complement":
            assert gates.log_decay is not None
            k = (1 - gates.log_decay.exp()).unsqueeze(3)
        if self.spec.feature_map == "one":
            k = torch.ones_like(gates.b).unsqueeze(-1)
            q = k[:, :, :, :1]
        gates, maxima, maximum = with_resets(gates, resets), None, state.maximum
        if self.spec.gate == "exponential":
            gates, maxima, maximum = stabilised_gates(gates, maximum, lengths)
        if self.spec.normaliser:
            v = functional.pad(v, (0, 1), value=1.0)
        has_erase = self.spec.recurrence.erase == "own"
        y, matrix = run_recurrence(
            self._recurrence_with(gates.log_decay),
            self._mapped(q.squeeze(3)) / math.sqrt(q.shape[-1]),
            self._mapped(k),
            v,
            gates.b,
            e=functional.normalize(e, dim=-1) if has_erase else None,
            log_decay=gates.log_decay,
            sign=gates.sign,
            state=state.matrix,
            lengths=lengths,
            backend=self.backend,
        )
        if self.spec.normaliser:
            y = _normalised(y, maxima, self.spec.feature_map in ("elu", "one"))
        return self._read(y.transpose(1, 2), x), MixerState(matrix, tail, maximum)

    def step(self, x: Tensor, state: MixerState | None = None) -> tuple[Tensor, MixerState]:
        """Return the output `[B, C]` of one step `[B, C]`, and the state after it."""
        y, after = self(x.unsqueeze(1), state)
        return y.squeeze(1), after

    def state_bytes(self) -> int:
        """Return the bytes that a step carries for one sequence, in float32."""
        return 4 * self.spec.state_numbers

    def _checked(self, state: MixerState, batch: int) -> MixerState:
        """Return the state; raises `ValueError` if it is one of another layer or batch."""
        expected = {
            "matrix": (batch, self.spec.heads, self.recurrence.keys, self.recurrence.values),
            "tail": (batch, self.spec.short_convolution - 1, sum(self.sizes.values())),
            "maximum": (batch, self.spec.heads),
        }
        for name, tensor in state._asdict().items():
            if tensor is not None and tuple(tensor.shape) != expected[name]:
                raise ValueError(
                    f"the state's {name} is {list(tensor.shape)}, expected {list(expected[name])}: "
                    "pass the state that this layer returned for these sequences"
                )
        return state

    def _features(self) -> tuple[int, int, int, int]:
        """Return the features of a query, key, erase key and value."""
        own = self.spec.recurrence
        return own.keys, own.keys, own.keys, own.values

    def _heads(self, x: Tensor, size: int) -> Tensor:
        """Turn `[B, T, H · n · size]` into `[B, H, T, n, size]`."""
        return x.unflatten(-1, (self.spec.heads, -1, size)).transpose(1, 2)

    def _recurrence_with(self, log_decay: Tensor | None) -> Recurrence:
        """Return the recurrence, with a decay where only resets need one."""
        is_needed = log_decay is not None and not self.recurrence.decays
        return replace(self.recurrence, decay="head") if is_needed else self.recurrence

    def _mapped(self, x: Tensor) -> Tensor:
        match self.spec.feature_map:
            case "silu":
                return functional.silu(x)
            case "l2":
                return functional.normalize(x, dim=-1)
            case "elu":
                return functional.elu(x) + 1
        return x

    def _read(self, y: Tensor, x: Tensor) -> Tensor:
        """Return the outputs `[B, T, C]` of what the heads read, `[B, T, H, V]`."""
        if self.norm is not None and self.gate is not None:
            return self.output(self.norm(y).flatten(2) * functional.silu(self.gate(x)))
        return self.output(y.flatten(2))


def _normalised(y: Tensor, maxima: Tensor | None, is_positive: bool) -> Tensor:
    """Divide by the last feature, the sum of weights; if these have signs, by at least 1.

    maxima: `[B, H, T]` of exponential gates, in whose scale 1 is exp(-m).
    """
    y, total = y[..., :-1], y[..., -1:].abs()
    least = torch.full_like(total, SMALLEST if is_positive else 1)
    if maxima is not None and not is_positive:
        least = (-maxima).exp().unsqueeze(-1)
    return y / torch.maximum(total, least)
