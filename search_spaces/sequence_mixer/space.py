"""The search space of sequence mixers: stripes of recurrences, cells, windows and attention."""

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from search_spaces.architecture import Architecture
from search_spaces.decisions import Decisions, InvalidArchitecture, at_random
from search_spaces.sequence_mixer.questions import MIXINGS, decide_block
from search_spaces.sequence_mixer.spec import (
    CHANNEL_MIXERS,
    KINDS,
    ORDERS,
    SPACE,
    NetworkSpec,
    network_of,
)
from search_spaces.space import DataShape, ModelShape, Space

if TYPE_CHECKING:
    import torch
    from networkx import DiGraph
    from torch import nn

TRIES = 200  # random blocks that show whether any fits into the state


class SequenceMixerSpace(Space):
    """Stripes of one to `stripe` blocks, repeated up to `repeats` times.

    A block mixes a sequence by a linear recurrence with a matrix state, a recurrent cell, a window
    (dilated causal convolution, chunked attention, FSMN's memory), attention or a fixed linear
    system (S4D), and then mixes its channels. Poli et al. 2024, https://arxiv.org/abs/2403.17844,
    section 4, build such stripes by hand; Thomas et al. 2024, https://arxiv.org/abs/2411.17800,
    search them.

    widths: choices for the width of blocks. mixings: the kinds of mixing to choose from.
    state: the most bytes that a step may carry for one sequence, in float32. Blocks share them
        evenly, and the size of each block's state is asked last, up to its share.
    images: whether to ask in which order and in how many directions images are read.
    """

    name = SPACE

    def __init__(
        self,
        widths: tuple[int, ...] = (32, 64),
        stripe: int = 2,
        repeats: int = 2,
        mixings: tuple[str, ...] = MIXINGS,
        state: int = 2**18,
        images: bool = False,
    ) -> None:
        if not widths or not all(type(n) is int and n >= 4 and n % 4 == 0 for n in widths):
            raise ValueError(f"widths must be multiples of 4, such as [32, 64], not {widths}")
        for option, value in (("stripe", stripe), ("repeats", repeats), ("state", state)):
            if type(value) is not int or value < 1:
                raise ValueError(f"{option} must be a whole number of at least 1, not {value}")
        unknown = [name for name in mixings if name not in MIXINGS]
        if unknown or not mixings:
            problem = f"unknown mixing {', '.join(unknown)}" if unknown else "no mixing given"
            raise ValueError(f"{problem}; choose from {', '.join(MIXINGS)}")
        self.widths, self.mixings = tuple(widths), tuple(mixings)
        self.stripe, self.repeats, self.state, self.images = stripe, repeats, state, images
        if not self._has_some():
            raise ValueError(
                f"state is {state}: none of {TRIES} random mixers of one block carries so few "
                "bytes; raise it"
            )

    def _has_some(self) -> bool:
        """Return whether a random block fits into the state."""
        rng = np.random.default_rng(0)
        for _ in range(TRIES):
            with suppress(InvalidArchitecture):
                drawn = at_random(rng)
                decide_block(drawn, self.mixings, drawn.choose("width", self.widths), self.state)
                return True
        return False

    def decide(self, decisions: Decisions) -> Architecture:
        width = decisions.choose("width", self.widths)
        size = decisions.integer("stripe", 1, self.stripe)
        repeats = decisions.integer("repeats", 1, self.repeats)
        channel_mixer = decisions.choose("channel_mixer", CHANNEL_MIXERS)
        order, both_ways = ORDERS[0], False
        if self.images:
            order = decisions.choose("order", ORDERS)
            both_ways = decisions.choose("both_ways", (False, True))
        most = self.state // (size * repeats)
        stripe = tuple(
            decide_block(decisions.scope(f"block_{i}"), self.mixings, width, most)
            for i in range(size)
        )
        return NetworkSpec(stripe, width, repeats, channel_mixer, order, both_ways).architecture()

    def check(self, data: DataShape) -> None:
        """Raise `ValueError` for other data than images if the space asks about images."""
        if self.images and data.kind != "images":
            raise ValueError("the space's option images is for tasks of images: remove it")

    def build(
        self, architecture: Architecture, shape: ModelShape, generator: "torch.Generator"
    ) -> "nn.Module":
        from search_spaces.sequence_mixer.model import SequenceMixer  # imports torch

        return SequenceMixer(network_of(architecture), shape, generator)

    def graph(self, architecture: Architecture) -> "DiGraph":
        """Return the chain of blocks for drawings."""
        from search_spaces.sequence_mixer.graph import graph

        return graph(network_of(architecture))

    def properties(self, architecture: Architecture) -> Mapping[str, float]:
        """Return the number of blocks of each kind, and width and state bytes where decided."""
        network = network_of(architecture)
        blocks = network.blocks(1)
        found = {
            f"{kind}_blocks": sum(type(b) is made for b in blocks) for kind, made in KINDS.items()
        }
        if network.width and network.repeats and not network.both_ways:
            found |= {"width": network.width, "state_bytes": network.state_bytes(0, 0)}
        return {name: float(value) for name, value in found.items()}
