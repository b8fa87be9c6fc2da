"""Networks built around a cell: NAS-Bench-NLP's language model, and a classifier."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from kernels.cell.layer import CompiledRNN
from kernels.cell.spec import CellSpec
from search_spaces.output import Output, States
from search_spaces.space import ModelShape, ModelSize


def build_model(cell: CellSpec, shape: ModelShape, generator: torch.Generator) -> nn.Module:
    """Return a language model if tokens are predicted at every step, otherwise a classifier."""
    if shape.data.every_step:
        return RnnLanguageModel(cell, shape, generator)
    return RnnClassifier(cell, shape, generator)


class RnnLanguageModel(nn.Module):
    """An embedding, recurrent layers, and a decoder that shares the embedding's weights.

    The network of NAS-Bench-NLP (section 4.1), after Merity et al. 2018: the last layer is as
    wide as the embedding; embedding weights are drawn from U(-0.1, 0.1), the decoder's bias is 0.
    """

    def __init__(self, cell: CellSpec, shape: ModelShape, generator: torch.Generator) -> None:
        super().__init__()
        if shape.data.kind != "tokens" or shape.data.inputs != shape.data.outputs:
            raise ValueError(
                "a language model needs a task that predicts one of its input tokens per step"
            )
        size = shape.size
        self.size = size
        self.embedding = token_embedding(shape.data.inputs, size.embedding, generator)
        widths = [size.hidden] * (size.layers - 1) + [size.embedding]
        self.layers = _layers(cell, size.embedding, widths, size, generator)
        self.decoder_bias = nn.Parameter(torch.zeros(shape.data.outputs))

    def forward(
        self, tokens: Tensor, state: States | None = None, lengths: Tensor | None = None
    ) -> Output:
        """Return logits of the next token at every step, `[B, T, vocabulary]`; tokens `[B, T]`."""
        embedded = embed(tokens, self.embedding, self.size, self.training)
        outputs, new_state = _run_layers(self.layers, embedded, state, lengths, self.size)
        dropped = locked_dropout(outputs, self.size.dropout, self.training)
        logits = functional.linear(dropped, self.embedding.weight, self.decoder_bias)
        return Output(logits, new_state, self._penalty(outputs, dropped))

    def _penalty(self, outputs: Tensor, dropped: Tensor) -> Tensor:
        """Return AR and TAR on the last layer (Merity et al. 2018, section 4.7)."""
        penalty = outputs.new_zeros(())
        if self.training and self.size.activation_penalty:
            penalty = penalty + self.size.activation_penalty * dropped.pow(2).mean()
        if self.training and self.size.slowness_penalty and outputs.shape[1] > 1:
            steps = outputs[:, 1:] - outputs[:, :-1]
            penalty = penalty + self.size.slowness_penalty * steps.pow(2).mean()
        return penalty


class RnnClassifier(nn.Module):
    """Recurrent layers and a classifier of their last output; images are read row by row."""

    def __init__(self, cell: CellSpec, shape: ModelShape, generator: torch.Generator) -> None:
        super().__init__()
        data, size = shape.data, shape.size
        self.size = size
        self.kind = data.kind
        self.embedding = None
        features = data.inputs * data.width if data.kind == "images" else data.inputs
        if data.kind == "tokens":
            self.embedding = token_embedding(data.inputs, size.embedding, generator)
            features = size.embedding
        self.layers = _layers(cell, features, [size.hidden] * size.layers, size, generator)
        bound = size.hidden**-0.5
        self.head = nn.Linear(size.hidden, data.outputs)
        nn.init.uniform_(self.head.weight, -bound, bound, generator=generator)
        nn.init.zeros_(self.head.bias)

    def forward(
        self, inputs: Tensor, state: States | None = None, lengths: Tensor | None = None
    ) -> Output:
        """Return logits `[B, classes]` for inputs of the task's shape."""
        x = features_of(inputs, self.embedding, self.kind, self.size, self.training)
        outputs, new_state = _run_layers(self.layers, x, state, lengths, self.size)
        last = locked_dropout(new_state[-1][0].unsqueeze(1), self.size.dropout, self.training)
        return Output(self.head(last.squeeze(1)), new_state, outputs.new_zeros(()))


def locked_dropout(x: Tensor, share: float, training: bool) -> Tensor:
    """Drop features of `[B, T, C]` with the same mask at all steps (Gal and Ghahramani 2016)."""
    if not training or share == 0:
        return x
    mask = torch.empty_like(x[:, :1]).bernoulli_(1 - share) / (1 - share)
    return x * mask


def token_embedding(tokens: int, width: int, generator: torch.Generator) -> nn.Embedding:
    weight = torch.empty(tokens, width).uniform_(-0.1, 0.1, generator=generator)
    return nn.Embedding(tokens, width, _weight=weight)


def embed(tokens: Tensor, embedding: nn.Embedding, size: ModelSize, training: bool) -> Tensor:
    """Embed tokens as `[B, T, embedding]`; training drops whole words and features."""
    weight = embedding.weight
    if training and size.embedding_dropout:
        kept = torch.empty_like(weight[:, :1]).bernoulli_(1 - size.embedding_dropout)
        weight = weight * kept / (1 - size.embedding_dropout)
    return locked_dropout(functional.embedding(tokens, weight), size.input_dropout, training)


def features_of(
    inputs: Tensor, embedding: nn.Embedding | None, kind: str, size: ModelSize, training: bool
) -> Tensor:
    """Return a task's inputs as features of steps, `[B, T, C]`; images are read row by row."""
    if embedding is not None:
        return embed(inputs, embedding, size, training)
    return inputs.permute(0, 2, 1, 3).flatten(2) if kind == "images" else inputs


def _layers(
    cell: CellSpec,
    input_size: int,
    widths: Sequence[int],
    size: ModelSize,
    generator: torch.Generator,
) -> nn.ModuleList:
    inputs = [input_size, *widths[:-1]]
    return nn.ModuleList(
        CompiledRNN(
            cell,
            i,
            width,
            weight_drop=size.weight_drop,
            frozen_recurrent=size.frozen_recurrent,
            generator=generator,
        )
        for i, width in zip(inputs, widths, strict=True)
    )


def _run_layers(
    layers: nn.ModuleList,
    x: Tensor,
    state: States | None,
    lengths: Tensor | None,
    size: ModelSize,
) -> tuple[Tensor, States]:
    """Return the last layer's outputs `[B, T, H]` and each layer's states."""
    states = []
    for i, layer in enumerate(layers):
        if i > 0:
            x = locked_dropout(x, size.hidden_dropout, layer.training)
        x, last = layer(x, None if state is None else state[i], lengths)
        states.append(last)
    return x, tuple(states)
