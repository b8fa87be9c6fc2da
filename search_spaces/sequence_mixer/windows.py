"""Mixings that look at a window of steps: causal convolution, FSMN's memory, and attention.

Each is called as `mixing(x, state, lengths)` with x `[B, T, C]`, and returns `[B, T, C]` and what
the next step needs: a tuple of tensors.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from kernels.mixer.short_convolution import last_steps
from search_spaces.sequence_mixer.spec import AttentionMixing, ConvolutionMixing, MemoryMixing

State = tuple[Tensor, ...]
ROTARY_BASE = 10_000.0


class Convolution(nn.Module):
    """A causal dilated convolution and SiLU; the state is the inputs that it reads again."""

    def __init__(self, mixing: ConvolutionMixing, width: int) -> None:
        super().__init__()
        self.before = (mixing.taps - 1) * mixing.dilation
        self.convolve = nn.Conv1d(width, width, mixing.taps, dilation=mixing.dilation)

    def forward(
        self, x: Tensor, state: State | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, State]:
        (tail,) = carried(state, x.new_zeros(x.shape[0], self.before, x.shape[2]))
        every = torch.cat([tail, x], 1)
        y = functional.silu(self.convolve(every.mT).mT)
        return y, (last_steps(every, self.before, lengths),)


class Memory(nn.Module):
    """FSMN's memory block: a projection, plus a trained filter over its earlier values.

    p̃_t = p_t + Σ_i a_i ⊙ p_(t-si) with stride s, as in Zhang et al. 2015,
    https://arxiv.org/abs/1512.08301, eq. 6, with the skip connection and the stride of Zhang et al.
    2018, https://arxiv.org/abs/1803.05030, eq. 2.
    """

    def __init__(self, mixing: MemoryMixing, width: int) -> None:
        super().__init__()
        self.stride = mixing.stride
        self.project, self.output = nn.Linear(width, width), nn.Linear(width, width)
        bound = mixing.taps**-0.5
        self.filter = nn.Parameter(torch.empty(mixing.taps, width).uniform_(-bound, bound))

    def forward(
        self, x: Tensor, state: State | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, State]:
        before, steps = len(self.filter) * self.stride, x.shape[1]
        (tail,) = carried(state, x.new_zeros(x.shape[0], before, x.shape[2]))
        projected = self.project(x)
        every = torch.cat([tail, projected], 1)
        total = projected
        for i, weight in enumerate(self.filter, start=1):
            total = total + weight * every.narrow(1, before - i * self.stride, steps)
        return self.output(total), (last_steps(every, before, lengths),)


class Attention(nn.Module):
    """Heads of softmax attention to the last `span` steps, or within chunks of `span` steps.

    Keys and queries are rotated by their place (Su et al. 2021, https://arxiv.org/abs/2104.09864,
    eq. 34). The state holds the last span - 1 keys and values, and how many steps there were.

    both_sides: attend to later steps as well, for whole sequences only: there is no state.
    """

    def __init__(self, mixing: AttentionMixing, width: int, both_sides: bool = False) -> None:
        super().__init__()
        if width % (2 * mixing.heads):
            raise ValueError(f"a width of {width} has no {mixing.heads} heads of even size")
        self.span, self.heads, self.in_chunks = mixing.span, mixing.heads, mixing.in_chunks
        self.both_sides = both_sides
        self.query, self.key_value = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.output = nn.Linear(width, width)

    def forward(
        self, x: Tensor, state: State | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, State]:
        batch, steps, width = x.shape
        query, new = self.query(x), self.key_value(x)
        empty = new.new_zeros(batch, self.span - 1, 2 * width)
        seen = torch.zeros(batch, dtype=torch.long, device=x.device)
        cache, seen = carried(state, empty, seen)
        every = torch.cat([cache, new], 1)
        read = new if state is None else every  # an empty cache need not be read
        allowed = self._allowed(read.shape[1], steps, None if state is None else seen, x.device)
        if self.both_sides:
            if lengths is not None:
                inside = torch.arange(steps, device=x.device) < lengths.unsqueeze(1)
                allowed = allowed & (inside[:, None, None] | (~inside).unsqueeze(-1).unsqueeze(1))
            return self.output(self._mix(query, read, allowed)), ()
        after = last_steps(every, self.span - 1, lengths)
        seen = seen + (steps if lengths is None else lengths)
        return self.output(self._mix(query, read, allowed)), (after, seen)

    def _allowed(self, reads: int, steps: int, seen: Tensor | None, device: torch.device) -> Tensor:
        """Return which of the read steps each step attends to, `[B or 1, 1, T, reads]`."""
        places = torch.arange(reads, device=device)
        at = places[reads - steps :].unsqueeze(1)  # [T, 1]
        distance = at - places
        allowed = distance < self.span
        allowed = allowed & ((distance > -self.span) if self.both_sides else (distance >= 0))
        allowed = allowed[None, None]
        first = torch.zeros(1, dtype=torch.long, device=device)  # the number of the first step read
        if seen is not None:
            first = seen - (reads - steps)
            allowed = allowed & (places + first[:, None] >= 0)[:, None, None]
        if self.in_chunks:
            chunk = (places + first[:, None]).div(self.span, rounding_mode="floor")
            own = chunk[:, reads - steps :]
            allowed = allowed & (own.unsqueeze(2) == chunk.unsqueeze(1)).unsqueeze(1)
        return allowed

    def _mix(self, query: Tensor, read: Tensor, allowed: Tensor) -> Tensor:
        key, value = read.chunk(2, -1)
        query, key, value = (
            t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in (query, key, value)
        )
        angles = self._angles(read.shape[1], key)
        query = _rotated(query, angles[read.shape[1] - query.shape[2] :])
        likeness = query @ _rotated(key, angles).mT / math.sqrt(query.shape[-1])
        weights = likeness.masked_fill(~allowed, -math.inf).softmax(-1)
        return (weights @ value).transpose(1, 2).flatten(2)

    def _angles(self, steps: int, like: Tensor) -> Tensor:
        """Return the angle of each step and pair of features, `[steps, size / 2]`."""
        pairs = torch.arange(like.shape[-1] // 2, device=like.device, dtype=like.dtype)
        speeds = ROTARY_BASE ** (-pairs / len(pairs))
        places = torch.arange(steps, device=like.device, dtype=like.dtype)
        return places.unsqueeze(1) * speeds


def _rotated(x: Tensor, angles: Tensor) -> Tensor:
    """Rotate the pairs of features of `[…, T, size]` by angles `[T, size / 2]`."""
    a, b = x.chunk(2, -1)
    cos, sin = angles.cos(), angles.sin()
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)


def carried(state: State | None, *first: Tensor) -> State:
    """Return the state, or the first one if there is none.

    Raises `ValueError` for a state of other shapes: one of another layer or of other sequences.
    """
    if state is None:
        return first
    found, expected = ([list(t.shape) for t in tensors] for tensors in (state, first))
    if found != expected:
        raise ValueError(
            f"a layer's state has shapes {found}, expected {expected}: pass the state that the "
            "same model returned for these sequences"
        )
    return state
