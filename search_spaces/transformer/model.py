"""Encoder networks that fill in masked tokens or classify."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from search_spaces.output import Output
from search_spaces.space import ModelShape
from search_spaces.transformer.mixing import mixing
from search_spaces.transformer.spec import EncoderSpec, LayerSpec


class EncoderLayer(nn.Module):
    """Mixing and projection, then feed-forwards, each followed by a residual and a LayerNorm.

    The authors' code omits projection, residual and norm around linear transforms; we keep them.
    """

    def __init__(self, layer: LayerSpec, hidden: int, dropout: float) -> None:
        super().__init__()
        size = layer.feed_forward_size
        self.mixing = mixing(layer, hidden)
        self.projection, self.norm = nn.Linear(hidden, hidden), nn.LayerNorm(hidden)
        widths = [hidden, *[size] * layer.feed_forwards]
        self.feed_forward = nn.Sequential()
        for before, after in pairwise(widths):
            self.feed_forward.extend([nn.Linear(before, after), nn.GELU()])
        self.output, self.last_norm = nn.Linear(size, hidden), nn.LayerNorm(hidden)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """x `[B, T, hidden]`, valid `[B, T]` → `[B, T, hidden]`."""
        x = self.norm(x + self.dropout(self.projection(self.mixing(x, valid))))
        return self.last_norm(x + self.dropout(self.output(self.feed_forward(x))))


class Encoder(nn.Module):
    """Embedding with learned positions, bidirectional layers, and a head.

    Embedding, projection to the hidden size and the tied head over tokens follow ELECTRA (Clark et
    al. 2020, https://arxiv.org/abs/2003.10555). The classifier reads the mean over the steps that
    count. Weights are drawn from N(0, 0.02).
    """

    def __init__(
        self, encoder: EncoderSpec, shape: ModelShape, positions: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        data, width, hidden = shape.data, shape.size.embedding, encoder.hidden
        self.kind, self.every_step = data.kind, data.every_step
        features = data.inputs * data.width if data.kind == "images" else data.inputs
        tokens = data.kind == "tokens"
        self.embedding = nn.Embedding(features, width) if tokens else nn.Linear(features, width)
        self.positions = nn.Embedding(positions, width)
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(shape.size.dropout)
        self.projection = nn.Linear(width, hidden)
        self.layers = nn.ModuleList(
            EncoderLayer(layer, hidden, shape.size.dropout) for layer in encoder.layers
        )
        self.head = nn.Linear(hidden, width if data.every_step else data.outputs)
        if data.every_step:
            self.head_norm = nn.LayerNorm(width)
            self.decoder_bias = nn.Parameter(torch.zeros(data.outputs))
        self.apply(lambda module: _initialise(module, generator))

    def forward(
        self, inputs: Tensor, state: object = None, lengths: Tensor | None = None
    ) -> Output:
        """Return logits, `[B, T, tokens]` or `[B, classes]`.

        inputs: as the task's `DataShape` describes.
        Raises `ValueError` for a sequence that is longer than the number of positions.
        """
        if self.kind == "images":
            inputs = inputs.permute(0, 2, 1, 3).flatten(2)  # [B, height, channels * width]
        steps = torch.arange(inputs.shape[1], device=inputs.device)
        if len(steps) > self.positions.num_embeddings:
            raise ValueError(
                f"a sequence has {len(steps)} steps, but the encoder only "
                f"{self.positions.num_embeddings} positions: raise the space's option positions"
            )
        ends = inputs.new_full((len(inputs),), len(steps)) if lengths is None else lengths
        valid = steps < ends.unsqueeze(1)  # [B, T]
        embedded = self.norm(self.embedding(inputs) + self.positions(steps))
        x = self.projection(self.dropout(embedded))
        for layer in self.layers:
            x = layer(x, valid)
        return Output(self._answers(x, valid), None, x.new_zeros(()))

    def _answers(self, x: Tensor, valid: Tensor) -> Tensor:
        if self.every_step:
            read = self.head_norm(functional.gelu(self.head(x)))
            return functional.linear(read, self.embedding.weight, self.decoder_bias)  # type: ignore
        weight = valid.unsqueeze(-1) / valid.sum(1)[:, None, None]
        return self.head(self.dropout((x * weight).sum(1)))


def _initialise(module: nn.Module, generator: torch.Generator) -> None:
    if isinstance(module, nn.Linear | nn.Embedding | nn.Conv1d):
        nn.init.normal_(module.weight, std=0.02, generator=generator)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
