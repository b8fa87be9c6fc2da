"""A model's LSTM, GRU and RNN layers on compiled cells; which are left alone, and why."""

from collections import Counter

from torch import nn

from kernels.layers import GRU, LSTM, RNN, TorchStack

ON_CELLS: dict[type[nn.Module], type[TorchStack]] = {
    nn.LSTM: LSTM,
    nn.GRU: GRU,
    nn.RNN: RNN,
}


def compiled(model: nn.Module) -> nn.Module:
    """Return the model itself, its plain LSTM, GRU and RNN layers now running on compiled cells.

    Layers are changed in place and keep their parameters: optimisers, shared modules, state
    dictionaries, `requires_grad` and `isinstance(layer, nn.LSTM)` stay as they are. What is not
    plain is left alone: see `left_alone`. Copy the model first if you need both.
    """
    reasons = left_alone(model)
    for path, layer in model.named_modules():
        if type(layer) in ON_CELLS and path not in reasons:
            layer.__class__ = ON_CELLS[type(layer)]
    return model


def left_alone(model: nn.Module) -> dict[str, str]:
    """Return the paths of the recurrent layers that `compiled` does not change, each with a reason.

    >>> left_alone(nn.Sequential(nn.GRU(2, 3), nn.LSTM(3, 4, proj_size=2)))
    {'1': 'it has projections (proj_size)'}
    """
    uses = Counter(id(p) for module in model.modules() for p in module._parameters.values())
    found = {
        path: _reason(layer, uses)
        for path, layer in model.named_modules()
        if isinstance(layer, nn.RNNBase | nn.RNNCellBase) and not isinstance(layer, TorchStack)
    }
    return {path: reason for path, reason in found.items() if reason}


def _reason(layer: nn.RNNBase | nn.RNNCellBase, uses: Counter[int]) -> str | None:
    """Return why a layer is left alone, None if it need not be."""
    if isinstance(layer, nn.RNNCellBase):
        return "it runs a single step; only nn.LSTM, nn.GRU and nn.RNN run whole sequences"
    for name in layer._flat_weights_names:
        weight = layer._parameters.get(name)
        if type(weight) is not nn.Parameter:
            return f"{name} is not a plain parameter (weight_norm, spectral_norm, pruning masks, …)"
        if uses[id(weight)] > 1:
            return f"{name} is used in more than one place"
    if type(layer) not in ON_CELLS:
        return f"{type(layer).__name__} is a subclass of PyTorch's layers and may compute more"
    if layer.proj_size:
        return "it has projections (proj_size)"
    if "forward" in vars(layer) or layer._compiled_call_impl is not None:
        return "its forward method was replaced or compiled"
    if any(value for name, value in vars(layer).items() if name.endswith("_hooks")):
        return "hooks are registered on it"
    return None
