"""Pruning targets: a model's matrices, which of them are recurrent, and how gates divide them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import nn
from torch.nn.modules.conv import _ConvNd

from compress.names import WHAT, Kind
from kernels.cell.layer import CompiledRNN


@dataclass(frozen=True, slots=True)
class Target:
    """A tensor that can be pruned.

    parameter: its name in the model.
    kind: "i2h" reads a recurrent layer's input, "h2h" its states or values computed from them
        within the step; "weight" is any other matrix or convolution.
    gates: how many equal blocks the first axis has; the rows of a gate are contiguous.
    """

    parameter: str
    kind: Kind
    gates: int = 1

    @property
    def layer(self) -> str:
        """The layer that the tensor belongs to: an `nn.LSTM` has several, such as `lstm_l0`."""
        module, _, name = self.parameter.rpartition(".")
        return module + "".join(name.partition("_l")[1:])


def targets_of(model: nn.Module, what: str) -> tuple[Target, ...]:
    """Return the tensors named by `what` (a key of `WHAT`), in model order, shared ones once.

    Biases, elementwise recurrent weights, normalisation and embeddings are never pruned.
    Raises `ValueError` if the model has no such tensor.
    """
    if what not in WHAT:
        raise ValueError(f'unknown target "{what}"; choose one of {", ".join(WHAT)}')
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    found: dict[str, Target] = {}
    for module in model.modules():
        for name, kind, gates in _tensors(module):
            parameter = names.get(id(getattr(module, name)))
            if parameter is not None and kind in WHAT[what]:
                found.setdefault(parameter, Target(parameter, kind, gates))
    if not found:
        has = [key for key in WHAT if key != what and _has(model, key)]
        remedy = f"choose {' or '.join(has)}" if has else "it has no matrices"
        raise ValueError(f"the model has no {what} tensors: {remedy}")
    return tuple(found.values())


def is_recurrent(model: nn.Module) -> bool:
    """Return whether the model has hidden-to-hidden weights."""
    return _has(model, "h2h")


def parameters_of(model: nn.Module, targets: Sequence[Target]) -> dict[str, nn.Parameter]:
    """Return the targets' tensors by name."""
    known = dict(model.named_parameters())
    return {target.parameter: known[target.parameter] for target in targets}


def _has(model: nn.Module, what: str) -> bool:
    kinds = {kind for module in model.modules() for _, kind, _ in _tensors(module)}
    return bool(kinds & WHAT[what])


def _tensors(module: nn.Module) -> Iterator[tuple[str, Kind, int]]:
    """Yield the name, kind and gates of the module's own tensors."""
    match module:
        case CompiledRNN():  # one block per linear node, see `kernels.cell.weights`
            own = dict(module.named_parameters())
            if "on_x" in own:
                yield "on_x", "i2h", len(own["on_x"])
            if "on_h" in own:
                yield "on_h", "h2h", len(own["on_h"])
        case nn.RNNBase():
            gates = {"LSTM": 4, "GRU": 3}.get(module.mode, 1)
            for name, _ in module.named_parameters():
                if name.startswith(("weight_ih", "weight_hh")):
                    yield name, "i2h" if name.startswith("weight_ih") else "h2h", gates
        case nn.RNNCellBase():
            yield "weight_ih", "i2h", len(module.weight_ih) // module.hidden_size
            yield "weight_hh", "h2h", len(module.weight_hh) // module.hidden_size
        case nn.Linear() | _ConvNd():
            yield "weight", "weight", 1
