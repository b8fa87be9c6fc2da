"""Hidden covariance: how differently the units of an untrained RNN answer the same inputs."""

import torch
from torch import Tensor, nn

from nas.scores.correlation import correlation_score
from nas.scores.recurrent import layer_outputs
from nas.tasks.task import Batch


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
        with torch.no_grad():
            outputs = layer_outputs(model, batch)
        return {
            f"{self.name}-{i}": covariance_score(states_entering(y), layer=i)
            for i, y in enumerate(outputs, start=1)
        }


def states_entering(outputs: Tensor) -> Tensor:
    """`[B, T, H]` states after each step → those before it, the first of them zero."""
    return torch.cat([torch.zeros_like(outputs[:, :1]), outputs[:, :-1]], dim=1)


def covariance_score(states: Tensor, layer: int) -> float:
    """The score of one layer's states `[B, T, H]`, in float64.

    Raises `ScoreFailed` when a state is not finite or a unit never changes.
    """
    units = states.flatten(0, 1).T  # [H, B·T]
    return correlation_score(units, f"layer {layer}", "units never change their state")
