"""The search space of NAS-Bench-BERT, whose encoders mix tokens in different ways."""

from typing import TYPE_CHECKING

from search_spaces.architecture import Architecture
from search_spaces.decisions import Decisions
from search_spaces.space import DataShape, ModelShape, Space
from search_spaces.transformer.spec import MIXINGS, encoder_of

if TYPE_CHECKING:
    import torch
    from networkx import DiGraph
    from torch import nn

VARIANTS = {
    "self-attention": "similarity",
    "linear-transform": "transform",
    "span-convolution": "kernel",
}
HIDDEN, DEPTHS, HEADS = (128, 256), (2, 4), (2, 4)
FEED_FORWARD_SIZES, FEED_FORWARDS = (512, 1024), (1, 3)


class TransformerSpace(Space):
    """FlexiBERT-like encoders of 2 or 4 layers.

    Serianni and Kalita 2023, https://aclanthology.org/2023.acl-long.142/, section 4.1, after Tuli
    et al. 2022, https://arxiv.org/abs/2205.11656. Their code never applies the hidden size and
    the feed-forward size; ours does. `ModelSize` sets the width of the embedding and the dropout;
    hidden size and depth are decisions.

    positions: the length of the longest sequence.
    """

    name = "transformer"

    def __init__(self, positions: int = 512) -> None:
        if type(positions) is not int or positions < 1:
            raise ValueError(f"positions must be a whole number of at least 1, not {positions}")
        self.positions = positions

    def decide(self, decisions: Decisions) -> Architecture:
        hidden = decisions.choose("hidden", HIDDEN)
        depth = decisions.choose("depth", DEPTHS)
        layers = tuple(_decide_layer(decisions.scope(f"layer_{i}")) for i in range(depth))
        return Architecture(self.name, (hidden, layers))

    def check(self, data: DataShape) -> None:
        """Raise `ValueError` for next-token tasks: an encoder would see the answer."""
        if data.every_step and not data.masked:
            raise ValueError(
                "an encoder would see the tokens that this task predicts: "
                "use --task masked-language-model, or a task with one answer per sequence"
            )

    def build(
        self, architecture: Architecture, shape: ModelShape, generator: "torch.Generator"
    ) -> "nn.Module":
        """Build the untrained encoder; raises `ValueError` like `check`."""
        from search_spaces.transformer.model import Encoder  # imports torch

        self.check(shape.data)
        return Encoder(encoder_of(architecture), shape, self.positions, generator)

    def graph(self, architecture: Architecture) -> "DiGraph":
        """Return the encoder's graph for drawings."""
        from search_spaces.transformer.graph import graph

        return graph(encoder_of(architecture))


def _decide_layer(decisions: Decisions) -> tuple[str, str | int, int, int, int]:
    mixing = decisions.choose("mixing", tuple(MIXINGS))
    return (
        mixing,
        decisions.choose(VARIANTS[mixing], MIXINGS[mixing]),
        decisions.choose("heads", HEADS),
        decisions.choose("feed_forward_size", FEED_FORWARD_SIZES),
        decisions.choose("feed_forwards", FEED_FORWARDS),
    )
