"""Converts an encoder to a directed graph with short labels, for drawings."""

from networkx import DiGraph

from search_spaces.transformer.spec import EncoderSpec

LABELS = {
    "scaled-dot-product": "attention",
    "weighted-multiplicative": "attention W",
    "dft": "DFT",
    "dct": "DCT",
    5: "convolution 5",
    9: "convolution 9",
}


def graph(encoder: EncoderSpec) -> DiGraph:
    """Return a chain of nodes with `label`, `kind` and `state`, as for a recurrent cell."""
    drawn = DiGraph()
    drawn.add_node(0, label=f"x, {encoder.hidden}", kind="input", state=None)
    for i, layer in enumerate(encoder.layers):
        mixing, feed_forward = 2 * i + 1, 2 * i + 2
        label = f"{LABELS[layer.variant]}, {layer.heads} heads"
        drawn.add_node(mixing, label=label, kind="elementwise", state=None)
        label = f"{layer.feed_forwards} × {layer.feed_forward_size}"
        drawn.add_node(feed_forward, label=label, kind="linear", state=None)
        drawn.add_edge(mixing - 1, mixing, place=0)
        drawn.add_edge(mixing, feed_forward, place=0)
    return drawn
