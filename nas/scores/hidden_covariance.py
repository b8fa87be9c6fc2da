"""Hidden covariance: how differently the units of an untrained RNN respond to the same inputs."""

from typing import Literal

import torch
from torch import Tensor, nn

from nas.core.task import Batch
from nas.scores.correlation import correlation_score
from nas.scores.recurrent import layer_outputs


class HiddenCovariance:
    """One value per recurrent layer, the first layer's first, as the paper's authors compute it.

    The rows of M are the H units. Its columns are all B·T states that *enter* a step, including the
    zero state before the first step and without the last state. With the eigenvalues λ of the
    units' correlation matrix, the score is -Σ(log(λ + k) + 1 / (λ + k)), k = 1e-5; closer to zero
    is better, -H is the best.

    Serianni and Kalita 2023, https://aclanthology.org/2023.acl-long.142/, section 3.2. The paper
    correlates the batch's sequences, the authors' code the units (`RNN_metrics.ipynb`); the
    published values are those of the code.

    between: "units" as in the code, or "sequences" as in the paper; then M has one row per
        sequence, and -B is the best.
    """

    name = "hidden-covariance"
    higher_is_better = True

    def __init__(self, between: Literal["units", "sequences"] = "units") -> None:
        if between not in ("units", "sequences"):
            raise ValueError(f'between must be "units" or "sequences", not "{between}"')
        self.between: Literal["units", "sequences"] = between

    def __call__(
        self, model: nn.Module, batch: Batch, generator: torch.Generator
    ) -> dict[str, float]:
        with torch.no_grad():
            outputs = layer_outputs(model, batch)
        return {
            f"{self.name}-{i}": covariance_score(states_entering(y), layer=i, between=self.between)
            for i, y in enumerate(outputs, start=1)
        }


def states_entering(outputs: Tensor) -> Tensor:
    """Turn the states after each step, `[B, T, H]`, into those before it; the first is zero."""
    return torch.cat([torch.zeros_like(outputs[:, :1]), outputs[:, :-1]], dim=1)


def covariance_score(
    states: Tensor, layer: int, between: Literal["units", "sequences"] = "units"
) -> float:
    """Return the score of one layer's states `[B, T, H]`, computed in float64.

    Raises `ScoreFailed` if a state is not finite, or if a unit (or sequence) never changes.
    """
    if between == "sequences":
        return correlation_score(states.flatten(1), f"layer {layer}", "sequences never change")
    units = states.flatten(0, 1).T  # [H, B·T]
    return correlation_score(units, f"layer {layer}", "units never change their state")
