"""A network of mixers: an embedding, blocks, a norm and a head."""

from typing import cast

import torch
from torch import Tensor, nn

from search_spaces.output import Output, States
from search_spaces.rnn_cell.model import embed, locked_dropout
from search_spaces.seeding import drawn_from
from search_spaces.sequence_mixer.block import Block, module_of
from search_spaces.sequence_mixer.orders import features_per_step, steps_of
from search_spaces.sequence_mixer.spec import NetworkSpec, Order
from search_spaces.space import ModelShape


class SequenceMixer(nn.Module):
    """Blocks between an embedding as wide as they are and a head.

    Answers every step, or a sequence by its last step, or by the mean of its steps if it is read
    both ways, which masked data and `both_ways` ask for. The state that a model returns for a
    piece of its sequences continues them: steps one by one answer as whole sequences.
    """

    def __init__(self, network: NetworkSpec, shape: ModelShape, generator: torch.Generator) -> None:
        super().__init__()
        data, self.size = shape.data, shape.size
        self.data = data
        self.order: Order = network.order
        self.both_ways = network.both_ways or data.masked
        if network.both_ways and data.every_step and not data.masked:
            raise ValueError(
                "a network that reads both ways would see the answers that this task asks for: "
                "set both ways to false"
            )
        width = network.width or shape.size.hidden
        with drawn_from(generator):
            if data.kind == "tokens":
                self.embedding = nn.Embedding(data.inputs, width)
            else:
                self.embedding = nn.Linear(features_per_step(data, network.order), width)
            self.blocks = nn.ModuleList(
                Block(module_of(mixing, width, self.both_ways), width, network.channel_mixer)
                for mixing in network.blocks(shape.size.layers)
            )
            self.norm, self.head = nn.RMSNorm(width), nn.Linear(width, data.outputs)

    def forward(
        self, inputs: Tensor, state: States | None = None, lengths: Tensor | None = None
    ) -> Output:
        """Return logits `[B, T, outputs]` or `[B, outputs]` for inputs of the task's shape.

        Raises `ValueError` for sequences without steps, and for a state of another model.
        """
        if state is not None and len(state) != len(self.blocks):
            raise ValueError(
                f"the state is one of {len(state)} blocks, but this model has {len(self.blocks)}: "
                "pass the state that it returned"
            )
        x = self._embedded(inputs)
        if x.shape[1] == 0:
            raise ValueError("sequences need at least 1 step")
        states = []
        for i, block in enumerate(self.blocks):
            x = locked_dropout(x, self.size.hidden_dropout if i else 0.0, self.training)
            x, after = block(x, None if state is None else state[i], lengths)
            states.append(after)
        x = x if self.data.every_step else self._summary(x, lengths)
        answers = self.head(locked_dropout(self.norm(x), self.size.dropout, self.training))
        if not self.data.every_step:
            answers = answers.squeeze(1)
        return Output(answers, None if self.both_ways else tuple(states), x.new_zeros(()))

    def _embedded(self, inputs: Tensor) -> Tensor:
        """Return the inputs as `[B, T, width]`."""
        if self.data.kind == "tokens":
            return embed(inputs, cast(nn.Embedding, self.embedding), self.size, self.training)
        if self.data.kind == "images":
            inputs = steps_of(inputs, self.order)
        return locked_dropout(self.embedding(inputs), self.size.input_dropout, self.training)

    def _summary(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        """Return `[B, 1, width]` of what a sequence is answered by."""
        if lengths is None:
            return x.mean(1, keepdim=True) if self.both_ways else x[:, -1:]
        if not self.both_ways:
            last = (lengths - 1).clamp(min=0)[:, None, None]
            return x.gather(1, last.expand(-1, 1, x.shape[2]))
        inside = torch.arange(x.shape[1], device=x.device) < lengths.unsqueeze(1)
        weights = inside / lengths.clamp(min=1).unsqueeze(1)
        return (x * weights.unsqueeze(-1)).sum(1, keepdim=True)
