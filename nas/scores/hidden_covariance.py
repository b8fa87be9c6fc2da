"""Hidden covariance: how differently the units of an untrained RNN answer the same inputs."""

from contextlib import suppress

import torch
from torch import Tensor, nn

from kernels.cell.layer import CompiledRNN
from nas.scores.score import ScoreFailed
from nas.tasks.task import Batch

K = 1e-5  # keeps the logarithm and the quotient of an eigenvalue of zero finite


class HiddenCovariance:
    """One value a recurrent layer, the first layer's first, as the paper's authors compute it.

    The rows of M are the H units, its columns all B·T states that *enter* a step, the zero state
    before the first step among them and the last one not. With the eigenvalues λ of the units'
    correlation matrix the score is -Σ(log(λ + k) + 1 / (λ + k)), k = 1e-5; closer to zero is
    better, -H is the best.

    Serianni and Kalita 2023, https://aclanthology.org/2023.acl-long.142/, section 3.2; the paper
    correlates the batch's sequences, the authors' code the units (`RNN_metrics.ipynb`), and its
    published values are those of the code.
    """

    name = "hidden-covariance"
    higher_is_better = True

    def __call__(
        self, model: nn.Module, batch: Batch, generator: torch.Generator
    ) -> dict[str, float]:
        outputs = layer_outputs(model, batch)
        if not outputs:
            raise ScoreFailed("the model has no recurrent layers")
        return {
            f"{self.name}-{i}": covariance_score(states_entering(y), layer=i)
            for i, y in enumerate(outputs, start=1)
        }


class _AllLayersSeen(Exception):
    """Ends a forward pass before the decoder, whose answers no hidden state needs."""


def layer_outputs(model: nn.Module, batch: Batch) -> list[Tensor]:
    """The first state of every recurrent layer after each step, L tensors `[B, T, H]`."""
    layers = [m for m in model.modules() if isinstance(m, CompiledRNN | nn.RNNBase)]
    outputs: list[Tensor] = []

    def record(layer: nn.Module, _: object, result: tuple[Tensor, object]) -> None:
        time_first = isinstance(layer, nn.RNNBase) and not layer.batch_first
        outputs.append(result[0].transpose(0, 1) if time_first else result[0])
        if len(outputs) == len(layers):
            raise _AllLayersSeen

    hooks = [layer.register_forward_hook(record) for layer in layers]
    try:
        with torch.no_grad(), suppress(_AllLayersSeen):
            model(batch.inputs, None, batch.lengths)
    finally:
        for hook in hooks:
            hook.remove()
    return outputs


def states_entering(outputs: Tensor) -> Tensor:
    """`[B, T, H]` states after each step → those before it, the first of them zero."""
    return torch.cat([torch.zeros_like(outputs[:, :1]), outputs[:, :-1]], dim=1)


def covariance_score(states: Tensor, layer: int) -> float:
    """The score of one layer's states `[B, T, H]`, in float64.

    Raises `ScoreFailed` when a state is not finite or a unit never changes.
    """
    units = states.flatten(0, 1).double()  # [B·T, H]
    if not torch.isfinite(units).all():
        raise ScoreFailed(f"layer {layer} has states that are not finite")
    centred = units - units.mean(dim=0)
    covariance = centred.T @ centred  # [H, H]
    deviation = covariance.diagonal().sqrt()
    constant = int((deviation == 0).sum())
    if constant:
        raise ScoreFailed(
            f"layer {layer}: {constant} of {len(deviation)} units never change their state"
        )
    eigenvalues = torch.linalg.eigvalsh(covariance / deviation / deviation[:, None])
    shifted = eigenvalues + K
    if not (shifted > 0).all():
        raise ScoreFailed(f"layer {layer}: the correlation matrix has a negative eigenvalue")
    return -float((shifted.log() + 1 / shifted).sum())
