"""The description of an encoder: its hidden size, and how each layer mixes tokens."""

from dataclasses import dataclass
from typing import Any

from search_spaces.architecture import Architecture
from search_spaces.decisions import InvalidArchitecture

MIXINGS: dict[str, tuple[Any, ...]] = {
    "self-attention": ("scaled-dot-product", "weighted-multiplicative"),
    "linear-transform": ("dft", "dct"),
    "span-convolution": (5, 9),
}


@dataclass(frozen=True, slots=True)
class LayerSpec:
    """One layer of an encoder.

    mixing, variant: a key of `MIXINGS` and one of its values.
    heads: the number of heads of the mixing, a divisor of the hidden size.
    feed_forward_size, feed_forwards: the width and number of the layers after the mixing.
    """

    mixing: str
    variant: str | int
    heads: int
    feed_forward_size: int
    feed_forwards: int


@dataclass(frozen=True, slots=True)
class EncoderSpec:
    """The hidden size and the layers of an encoder, first to last."""

    hidden: int
    layers: tuple[LayerSpec, ...]


def encoder_of(architecture: Architecture) -> EncoderSpec:
    """Return the encoder of an architecture; raises `InvalidArchitecture` naming a bad layer."""
    try:
        hidden, layers = architecture.spec  # type: ignore[misc]
        encoder = EncoderSpec(hidden, tuple(LayerSpec(*layer) for layer in layers))  # type: ignore
    except (TypeError, ValueError):
        raise InvalidArchitecture(
            "write an encoder as [hidden size, [layers]], and a layer as [mixing, variant, heads, "
            "feed-forward size, feed-forwards]"
        ) from None
    for i, layer in enumerate(encoder.layers):
        if layer.variant not in MIXINGS.get(layer.mixing, ()):
            raise InvalidArchitecture(f"layer {i}: unknown mixing {layer.mixing} {layer.variant}")
    return encoder
