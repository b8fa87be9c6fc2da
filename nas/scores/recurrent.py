"""Runs an untrained model for a score: collects recurrent layers' inputs, outputs and values."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial

import torch
from torch import Tensor, nn

from kernels.cell.layer import CompiledRNN, ShowsStates
from kernels.cell.reference import reference_rnn
from nas.core.score import ScoreFailed
from nas.core.task import Batch

Watch = Callable[
    [CompiledRNN, list[Tensor]], None
]  # receives a layer and its cell's values at a step


class _AllLayersSeen(Exception):
    """Ends a forward pass before the decoder, which no hidden state depends on."""


def recurrent_layers(model: nn.Module) -> Sequence[nn.Module]:
    """Return the layers that show their states, in the model's order, without those inside them.

    Raises `ScoreFailed` if there are none.
    """
    layers: dict[str, nn.Module] = {}
    for path, module in model.named_modules():
        is_inside = any(not outer or path.startswith(f"{outer}.") for outer in layers)
        if _shows_states(module) and not is_inside:
            layers[path] = module
    if not layers:
        raise ScoreFailed("the model has no recurrent layers")
    return list(layers.values())


def cells_of(model: nn.Module) -> list[CompiledRNN]:
    """Return the recurrent layers; raises `ScoreFailed` if one does not expose its steps."""
    cells = []
    for layer in recurrent_layers(model):
        if not isinstance(layer, CompiledRNN):
            raise ScoreFailed(f"{type(layer).__name__} does not expose the values in its steps")
        cells.append(layer)
    return cells


def layer_outputs(
    model: nn.Module, batch: Batch, change_input: Callable[[Tensor], Tensor] | None = None
) -> list[Tensor]:
    """Return the first state of every recurrent layer after each step, L tensors `[B, T, H]`.

    change_input: replaces the first layer's embedded input `[B, T, C]`.
    """
    layers = recurrent_layers(model)
    outputs: list[Tensor] = []

    def record(layer: nn.Module, _: object, result: tuple[Tensor, object]) -> None:
        outputs.append(result[0].transpose(0, 1) if _time_first(layer) else result[0])
        if len(outputs) == len(layers):
            raise _AllLayersSeen

    hooks = [layer.register_forward_hook(record) for layer in layers]
    if change_input is not None:
        changed = lambda _, read: (change_input(read[0]), *read[1:])  # noqa: E731
        hooks.append(layers[0].register_forward_pre_hook(changed))
    try:
        with suppress(_AllLayersSeen):
            model(batch.inputs, None, batch.lengths)
    finally:
        for hook in hooks:
            hook.remove()
    return outputs


def input_gradient(
    model: nn.Module, batch: Batch, noise: Callable[[Tensor], Tensor] | None = None
) -> Tensor:
    """Return d(sum of the last layer's outputs) / d(embedded input), `[B, T, C]`.

    noise: replaces the embedded input.
    """
    leaves: list[Tensor] = []

    def as_leaf(x: Tensor) -> Tensor:
        leaf = (x if noise is None else noise(x)).detach().requires_grad_()
        leaves.append(leaf)
        return leaf

    with without_parameter_gradients(model), torch.enable_grad():
        outputs = layer_outputs(model, batch, as_leaf)
        (gradient,) = torch.autograd.grad(outputs[-1].sum(), leaves)
    return inputs_by_step(model, gradient)


def inputs_by_step(model: nn.Module, x: Tensor) -> Tensor:
    """Return the first recurrent layer's input x, in the layer's axis order, as `[B, T, C]`."""
    return x.transpose(0, 1) if _time_first(recurrent_layers(model)[0]) else x


@contextmanager
def watched_cells(model: nn.Module, watch: Watch) -> Iterator[None]:
    """Run cells on the reference in this context, calling `watch` after every step of a layer."""
    layers = cells_of(model)
    for layer in layers:
        layer.__dict__["forward"] = partial(_watched_forward, layer, watch)
    try:
        yield
    finally:
        for layer in layers:
            del layer.__dict__["forward"]


def _watched_forward(
    layer: CompiledRNN,
    watch: Watch,
    x: Tensor,
    state: tuple[Tensor, ...] | None = None,
    lengths: Tensor | None = None,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    state = layer.initial_state(x.shape[0], x) if state is None else state
    return reference_rnn(
        layer.cell, x, state, layer.weights(), lengths, watch=partial(watch, layer)
    )


@contextmanager
def without_parameter_gradients(model: nn.Module) -> Iterator[None]:
    """Compute no gradients of parameters in this context."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_()


def weights_of(model: nn.Module) -> list[nn.Parameter]:
    """Return the connections: all parameters except biases; a shared weight counts once."""
    return [p for name, p in model.named_parameters() if not name.endswith("bias")]


def first_sequences(batch: Batch, count: int) -> Batch:
    """Return the batch's first `count` sequences."""
    lengths = None if batch.lengths is None else batch.lengths[:count]
    return Batch(batch.inputs[:count], batch.targets[:count], lengths)


def finite(name: str, value: Tensor | float) -> dict[str, float]:
    """Return the value by its name; raises `ScoreFailed` if it is not finite."""
    number = float(value)
    if not math.isfinite(number):
        raise ScoreFailed(f"{name} is {number}")
    return {name: number}


def _shows_states(module: nn.Module) -> bool:
    return isinstance(module, ShowsStates | nn.RNNBase)


def _time_first(layer: nn.Module) -> bool:
    return isinstance(layer, nn.RNNBase) and not layer.batch_first
