"""Layers that mix tokens: attention, a fixed transform, or a span convolution."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from search_spaces.transformer.spec import LayerSpec


class SelfAttention(nn.Module):
    """Heads of softmax(q·k / √d) v (Vaswani et al. 2017, https://arxiv.org/abs/1706.03762, eq. 1).

    weighted: use q·W·k, with one W for all heads (Luong et al. 2015,
        https://arxiv.org/abs/1508.04025, eq. 8, "general").
    """

    def __init__(self, hidden: int, heads: int, width: int, weighted: bool = False) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(hidden, width) for _ in range(3))
        self.weight = nn.Linear(width, width, bias=False) if weighted else nn.Identity()
        self.softmax = nn.Softmax(dim=-1)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """x `[B, T, hidden]`, valid `[B, T]` → `[B, T, width]`."""
        query = split_heads(self.weight(self.query(x)), self.heads)
        key, value = (split_heads(part(x), self.heads) for part in (self.key, self.value))
        likeness = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])  # [B, heads, T, T]
        likeness = likeness.masked_fill(~valid[:, None, None, :], -math.inf)
        return (self.softmax(likeness) @ value).transpose(1, 2).flatten(2)


class LinearTransform(nn.Module):
    """The real part of a Fourier transform, or a cosine transform, over steps and head width.

    After FNet (Lee-Thorp et al. 2022, https://arxiv.org/abs/2105.03824, section 3.2), within each
    head. Unlike theirs, ours is orthonormal, so the sum with the residual keeps its scale. Padding
    is zero, but as in FNet the frequencies are those of the padded length.
    """

    def __init__(self, hidden: int, heads: int, transform: str) -> None:
        super().__init__()
        self.heads, self.transform = heads, transform
        self.input = nn.Linear(hidden, hidden)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """x `[B, T, hidden]`, valid `[B, T]` → `[B, T, hidden]`."""
        parts = split_heads(self.input(x) * valid.unsqueeze(-1), self.heads)
        if self.transform == "dft":
            mixed = torch.fft.fft2(parts, norm="ortho").real
        else:
            steps, width = (cosines(n, x) for n in parts.shape[-2:])
            mixed = steps @ parts @ width.T
        return mixed.transpose(1, 2).flatten(2)


class SpanConvolution(nn.Module):
    """Half the heads attend; half convolve with kernels computed from each token's span.

    Mixed attention of ConvBERT (Jiang et al. 2020, https://arxiv.org/abs/2008.02496, sections
    3.2 and 3.3) with a head ratio of 2.
    """

    def __init__(self, hidden: int, heads: int, kernel: int) -> None:
        super().__init__()
        width, self.heads, self.kernel = hidden // 2, heads // 2, kernel
        self.attention = SelfAttention(hidden, self.heads, width)
        self.depthwise = nn.Conv1d(
            hidden, hidden, kernel, padding=kernel // 2, groups=hidden, bias=False
        )
        self.pointwise = nn.Linear(hidden, width)
        self.kernels = nn.Linear(width, self.heads * kernel)
        self.values = nn.Linear(hidden, width)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """x `[B, T, hidden]`, valid `[B, T]` → `[B, T, hidden]`."""
        batch, steps, _ = x.shape
        seen = x * valid.unsqueeze(-1)
        span = self.pointwise(self.depthwise(seen.transpose(1, 2)).transpose(1, 2))
        kernels = self.kernels(span * self.attention.query(x)).view(
            batch, steps, self.heads, 1, self.kernel
        )
        values = self.values(x) * valid.unsqueeze(-1)
        padded = functional.pad(values, (0, 0, self.kernel // 2, self.kernel // 2))
        windows = padded.unfold(1, self.kernel, 1)  # [B, T, width, kernel]
        windows = windows.unflatten(2, (self.heads, -1))
        convolved = (windows * kernels.softmax(-1)).sum(-1).flatten(2)
        return torch.cat([self.attention(x, valid), convolved], dim=-1)


def mixing(layer: LayerSpec, hidden: int) -> nn.Module:
    """Build the untrained mixing module of a layer."""
    if layer.mixing == "self-attention":
        weighted = layer.variant == "weighted-multiplicative"
        return SelfAttention(hidden, layer.heads, hidden, weighted)
    if layer.mixing == "linear-transform":
        return LinearTransform(hidden, layer.heads, str(layer.variant))
    return SpanConvolution(hidden, layer.heads, int(layer.variant))


def split_heads(x: Tensor, heads: int) -> Tensor:
    """Reshape `[B, T, H]` to `[B, heads, T, H / heads]`."""
    return x.unflatten(2, (heads, -1)).transpose(1, 2)


def cosines(size: int, like: Tensor) -> Tensor:
    """Return the matrix of the orthonormal DCT-II, `[frequency, size]`."""
    numbers = torch.arange(size, device=like.device, dtype=like.dtype)
    matrix = torch.cos(math.pi / size * (numbers + 0.5) * numbers.unsqueeze(1))
    matrix[0] /= math.sqrt(2)
    return matrix * math.sqrt(2 / size)
