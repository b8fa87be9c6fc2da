"""Removes whole layers from LSTM, GRU and plain recurrent modules."""

from torch import nn


def drop_layers(module: nn.RNNBase, dropped: frozenset[int]) -> None:
    """Remove some layers from a recurrent module, except the first.

    The layer after a removed one reads what that one read; both inputs are as wide as all hidden
    states, so the weights fit.
    Raises `ValueError` if the first layer is among them.
    """
    kept = [layer for layer in range(module.num_layers) if layer not in dropped]
    if kept[:1] != [0]:
        raise ValueError("the first layer of a recurrent module reads the input: it must stay")
    weights = dict(module.named_parameters(recurse=False))
    names = module._all_weights  # the names of each layer and direction, in order
    directions = 2 if module.bidirectional else 1
    sources = [names[old * directions + d] for old in kept for d in range(directions)]
    module._all_weights = names[: len(sources)]
    module._flat_weights_names = [name for each in module._all_weights for name in each]
    for each in names:
        for name in each:
            del module._parameters[name]
    for each, others in zip(module._all_weights, sources, strict=True):
        for name, other in zip(each, others, strict=True):
            module._parameters[name] = weights[other]
    module.num_layers = len(kept)
    module._init_flat_weights()
