"""Runs an untrained encoder for a score: collects modules' outputs and weights' gradients."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from nas.core.score import ScoreFailed
from nas.core.task import Batch
from nas.scores.saliency import batch_loss
from search_spaces.transformer.mixing import LinearTransform, SelfAttention
from search_spaces.transformer.model import EncoderLayer


def encoder_layers(model: nn.Module) -> list[EncoderLayer]:
    """Return the encoder layers, first to last; raises `ScoreFailed` if there are none."""
    layers = [module for module in model.modules() if isinstance(module, EncoderLayer)]
    if not layers:
        raise ScoreFailed("the model has no encoder layers: use --space transformer")
    return layers


def attentions(model: nn.Module) -> list[SelfAttention]:
    """Return all self-attentions, including those in span convolutions.

    Raises `ScoreFailed` if there are none.
    """
    layers = encoder_layers(model)
    found = [m for layer in layers for m in layer.modules() if isinstance(m, SelfAttention)]
    if not found:
        raise ScoreFailed("the encoder has no self-attention, only linear transforms")
    return found


def head_projections(model: nn.Module) -> list[tuple[nn.Linear, int]]:
    """Return the linear maps whose outputs are split into heads, with their numbers of heads."""
    projections: list[tuple[nn.Linear, int]] = []
    for layer in encoder_layers(model):
        for module in layer.modules():
            if isinstance(module, LinearTransform):
                projections.append((module.input, module.heads))
            elif isinstance(module, SelfAttention):
                parts = (module.query, module.key, module.value, module.weight)
                projections += [(p, module.heads) for p in parts if isinstance(p, nn.Linear)]
    return projections


def answers_of(modules: Sequence[nn.Module], model: nn.Module, batch: Batch) -> list[Tensor]:
    """Return each module's output in one forward pass without gradients."""
    answers: dict[nn.Module, Tensor] = {}
    with _recording(modules, answers), torch.no_grad():
        model(batch.inputs, None, batch.lengths)
    return [answers[module] for module in modules]


@contextmanager
def _recording(modules: Sequence[nn.Module], answers: dict[nn.Module, Tensor]) -> Iterator[None]:
    def record(module: nn.Module, _: object, answer: Tensor) -> None:
        answers[module] = answer

    hooks = [module.register_forward_hook(record) for module in modules]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def loss_gradients(
    weights: Sequence[Tensor], model: nn.Module, batch: Batch
) -> tuple[Tensor | None, ...]:
    """Return the gradients of the batch's cross-entropy.

    The authors' code differentiates the sum of the last LayerNorm's outputs, which is constant, so
    its gradients are rounding noise.
    """
    with torch.enable_grad():
        return torch.autograd.grad(batch_loss(model, batch), weights, allow_unused=True)


def valid_steps(inputs: Tensor, lengths: Tensor | None, steps: int) -> Tensor:
    """Return booleans `[B, T]`, true for the steps within each sequence."""
    if lengths is None:
        return torch.ones(len(inputs), steps, dtype=torch.bool, device=inputs.device)
    return torch.arange(steps, device=inputs.device) < lengths.unsqueeze(1)
