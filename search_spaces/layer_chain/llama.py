"""A small Llama (Touvron et al. 2023, https://arxiv.org/abs/2302.13971, section 2.2).

It has RMSNorm before each half, rotary positions, grouped-query attention, SwiGLU and no biases.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from search_spaces.layer_chain.decoder import Slot

EPSILON = 1e-5  # in the norms
ROTATION = 10_000.0  # base of the rotary angles


@dataclass(frozen=True, slots=True)
class LlamaSize:
    """width: of hidden states. inner: feed-forward width. key_heads: shared by groups of heads."""

    tokens: int
    width: int
    layers: int
    heads: int
    key_heads: int
    inner: int

    @property
    def head(self) -> int:
        """The number of features per head; even, because they are rotated in pairs."""
        return self.width // self.heads


class Around(NamedTuple):
    """Cosines and sines `[T, head / 2]` of the positions, and which others they see `[T, S]`."""

    cosine: Tensor
    sine: Tensor
    visible: Tensor


class Attention(nn.Module):
    def __init__(self, size: LlamaSize) -> None:
        super().__init__()
        self.size = size
        keys = size.key_heads * size.head
        self.query = nn.Linear(size.width, size.width, bias=False)
        self.key = nn.Linear(size.width, keys, bias=False)
        self.value = nn.Linear(size.width, keys, bias=False)
        self.output = nn.Linear(size.width, size.width, bias=False)

    def forward(self, x: Tensor, around: Around, slot: Slot | None) -> Tensor:
        """x `[B, T, width]` → `[B, T, width]`."""
        query, key, value = (
            projected.unflatten(-1, (-1, self.size.head)).transpose(1, 2)  # [B, heads, T, head]
            for projected in (self.query(x), self.key(x), self.value(x))
        )
        query, key = rotated(query, around), rotated(key, around)
        if slot is not None:
            key, value = slot.update(key, value)
        read = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=around.visible, enable_gqa=True
        )
        return self.output(read.transpose(1, 2).flatten(2))


def rotated(x: Tensor, around: Around) -> Tensor:
    """Rotate pairs of neighbouring features (Su et al. 2021, https://arxiv.org/abs/2104.09864,
    eq. 15); x `[B, heads, T, head]`."""
    even, odd = x[..., ::2], x[..., 1::2]
    cosine, sine = around.cosine, around.sine
    return torch.stack([even * cosine - odd * sine, even * sine + odd * cosine], -1).flatten(-2)


class LlamaLayer(nn.Module):
    def __init__(self, size: LlamaSize) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(size.width, eps=EPSILON)
        self.attention = Attention(size)
        self.inner_norm = nn.RMSNorm(size.width, eps=EPSILON)
        self.gate = nn.Linear(size.width, size.inner, bias=False)
        self.up = nn.Linear(size.width, size.inner, bias=False)
        self.down = nn.Linear(size.inner, size.width, bias=False)

    def forward(self, x: Tensor, around: Around, slot: Slot | None = None) -> Tensor:
        """x `[B, T, width]` → `[B, T, width]`."""
        x = x + self.attention(self.attention_norm(x), around, slot)
        inner = self.inner_norm(x)
        return x + self.down(functional.silu(self.gate(inner)) * self.up(inner))


class Llama(nn.Module):
    """A `Decoder` whose head shares the embedding's weights."""

    cacheable = True

    def __init__(self, size: LlamaSize, generator: torch.Generator) -> None:
        super().__init__()
        self.size = size
        self.embedding = nn.Embedding(size.tokens, size.width)
        self.stack = nn.ModuleList(LlamaLayer(size) for _ in range(size.layers))
        self.norm = nn.RMSNorm(size.width, eps=EPSILON)
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.normal_(parameter, std=size.width**-0.5, generator=generator)
        with torch.no_grad():  # scale by depth (Radford et al. 2019, 2.3)
            for layer in self.stack.children():
                for name in ("attention.output.weight", "down.weight"):
                    layer.get_parameter(name).mul_((2 * size.layers) ** -0.5)

    @property
    def layers(self) -> int:
        return len(self.stack)

    @property
    def tokens(self) -> int:
        return self.size.tokens

    def enter(self, tokens: Tensor, last: int | None = None) -> tuple[Tensor, Around]:
        length, embedding = tokens.shape[1], self.embedding.weight
        tokens, device = tokens.to(embedding.device), embedding.device
        first = 0 if last is None else length - last
        steps = torch.arange(length, device=device)
        pairs = torch.arange(0, self.size.head, 2, device=device) / self.size.head
        angles = torch.outer(steps[first:].float(), ROTATION**-pairs)
        visible = steps[first:, None] >= steps
        cosine, sine = angles.cos().to(embedding.dtype), angles.sin().to(embedding.dtype)
        return self.embedding(tokens[:, first:]), Around(cosine, sine, visible)

    def call(
        self,
        layer: int,
        hidden: Tensor,
        around: Around,
        slot: Slot | None = None,
        rows: Tensor | None = None,
    ) -> Tensor:
        return self.stack[layer](hidden, around, slot)

    def logits(self, hidden: Tensor, options: Tensor | None = None) -> Tensor:
        head = self.embedding.weight if options is None else self.embedding.weight[options]
        return functional.linear(self.norm(hidden), head)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return logits `[B, T, tokens]` for tokens `[B, T]`, calling every layer once."""
        hidden, around = self.enter(tokens)
        for layer in range(self.layers):
            hidden = self.call(layer, hidden, around)
        return self.logits(hidden)
