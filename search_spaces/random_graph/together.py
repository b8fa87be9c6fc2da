"""Runs many random-graph networks as one computation."""

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from kernels.wired.op import run_wired, wired_loops
from kernels.wired.wiring import WiredWeights, side_by_side
from search_spaces.random_graph.model import GraphNetwork, taken
from search_spaces.rnn_cell.model import features_of


class GraphNetworks(nn.Module):
    """G independent networks with the same cell, computed at once.

    A few tensors hold the parameters of all networks; `owners` maps each entry to its network.
    Raises `ValueError` for networks that have different cells, answer every step, have dropout or
    cannot be compiled here.
    """

    def __init__(self, networks: Sequence[GraphNetwork]) -> None:
        super().__init__()
        first = networks[0]
        self.kind, self.size = first.kind, first.size
        loops = wired_loops(first.cell, torch.float32)
        if loops is None:
            raise ValueError("training networks together needs compiled C: install a C compiler")
        if any(network.cell != first.cell for network in networks):
            raise ValueError("networks that are trained together must have the same cell")
        sizes = [network.size for network in networks]
        drops = any(size.dropout or size.hidden_dropout or size.weight_drop for size in sizes)
        if drops or first.every_step:
            raise ValueError(
                "to train networks together, set dropout to 0 and use a task with one answer "
                "per sequence"
            )
        self.loops = loops
        self.wiring = side_by_side([network.wiring for network in networks])
        flat = [nn.utils.parameters_to_vector(n.layers.parameters()).detach() for n in networks]
        begins = [0, *accumulate(len(numbers) for numbers in flat)]
        self.places = WiredWeights(
            *(
                torch.cat([places + begin for places, begin in zip(parts, begins, strict=False)])
                for parts in zip(*(network.places for network in networks), strict=True)
            )
        )
        self.recurrent = nn.Parameter(torch.cat(flat))
        words = [n.embedding.weight.detach() for n in networks if n.embedding is not None]
        self.embedding = nn.Embedding.from_pretrained(torch.cat(words, 1), False) if words else None
        units = [0, *accumulate(network.wiring.units for network in networks)]
        sinks = [n.sinks + unit for n, unit in zip(networks, units, strict=False)]
        self.sinks = pad_sequence(sinks, batch_first=True, padding_value=units[-1])
        heads = [network.head.weight.detach().T for network in networks]
        self.head = nn.Parameter(pad_sequence(heads, batch_first=True))  # [G, most sinks, outputs]
        self.bias = nn.Parameter(torch.stack([network.head.bias.detach() for network in networks]))
        self.owners = {
            "recurrent": _owners([len(numbers) for numbers in flat]),
            "embedding.weight": _owners([network.wiring.features for network in networks]),
            "head": torch.arange(len(networks)).view(-1, 1, 1),
            "bias": torch.arange(len(networks)).view(-1, 1),
        }

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return logits `[G, B, outputs]` for inputs of the task's shape."""
        x = features_of(inputs, self.embedding, self.kind, self.size, self.training)
        if self.embedding is None:
            x = x.repeat(1, 1, len(self.bias))
        weights = taken(self.recurrent, self.places)
        none = self.sinks[0, :0]
        _, last = run_wired(self.loops, self.wiring, x, None, weights, lengths, none)
        known = nn.functional.pad(last[0], (0, 1))[:, self.sinks]  # [B, G, most sinks]
        return torch.baddbmm(self.bias.unsqueeze(1), known.transpose(0, 1), self.head)

    def clip(self, most: float) -> None:
        """Scale each network's gradients to a norm of at most `most`."""
        gradients = {n: p.grad for n, p in self.named_parameters() if p.grad is not None}
        squares = torch.zeros(len(self.bias))
        for name, gradient in gradients.items():
            owner = self.owners[name].expand_as(gradient).flatten()
            squares.index_add_(0, owner, gradient.square().flatten())
        scale = (most / (squares.sqrt() + 1e-6)).clamp(max=1)
        for name, gradient in gradients.items():
            gradient.mul_(scale[self.owners[name]])


def _owners(counts: Sequence[int]) -> Tensor:
    return torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
