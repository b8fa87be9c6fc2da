"""Whole layers taken out of LSTM, GRU and plain recurrent modules."""

from torch import nn


def drop_layers(module: nn.RNNBase, dropped: frozenset[int]) -> None:
    """Take some layers out of a recurrent module; the first cannot go.

    The layer behind a dropped one reads what that one read: both have the width of all hidden
    states, so that the weights fit.
    Raises `ValueError` when the first layer is among them.
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
