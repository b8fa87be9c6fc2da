"""Predicted loss: predicts a trained loss from networks of similar structure and forgetting."""

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from nas.core.score import ScoreFailed
from nas.core.task import Batch
from nas.scores.correlation import effective_rank
from nas.scores.forest import Forest
from nas.scores.influence import influences
from nas.scores.recurrent import cells_of
from search_spaces.rnn_cell.structure import structure

SHIPPED = Path(__file__).with_suffix(".json")
LAGS = (0, 1, 2, 4, 8, 16, 32)
LOST = 1e-9  # keeps the logarithm of an influence finite


class PredictedLoss:
    """The loss in nats that a forest predicts from a cell's graph and its untrained network.

    fit: a forest's file, written by `nas bench scores --fit`. The shipped forest was fitted to the
        final test losses on WikiText-2 of 201 cells of NAS-Bench-NLP, with features of untrained
        networks of 3 layers, hidden size 96 and embedding 64. On another task it only ranks.

    The features are `structure` of the cell and, for the first and the last layer, the logarithms
    of `influences` at 0 to 32 steps, of the states' root mean square and of their effective rank.
    The score is ours; `nas bench scores` evaluates it in five folds by recipe, never on the recipes
    that it was fitted to.
    """

    name = "predicted-loss"
    higher_is_better = False

    def __init__(self, fit: str | None = None) -> None:
        self.forest = Forest.read(Path(fit) if fit else SHIPPED)

    def __call__(
        self, model: nn.Module, batch: Batch, generator: torch.Generator
    ) -> dict[str, float]:
        features = self.features(model, batch, generator)
        try:
            return {self.name: math.exp(self.forest.predict(features))}
        except KeyError as error:
            raise ScoreFailed(f"the fit uses an unknown feature: {error}") from None

    @staticmethod
    def features(model: nn.Module, batch: Batch, generator: torch.Generator) -> dict[str, float]:
        """Return the features of an untrained model; every model has the same names."""
        found = structure(cells_of(model)[0].cell)
        with torch.no_grad():
            states, shares = influences(model, batch)
        for layer, at in (("first", 0), ("last", -1)):
            found |= {f"{layer}_{k}": v for k, v in _of_layer(states[at], shares[at]).items()}
        return found


def fit(rows: Sequence[dict[str, float]], losses: Sequence[float]) -> Forest:
    """Return a forest that predicts the logarithm of the losses from the features."""
    return Forest.fit(rows, [math.log(loss) for loss in losses])


def _of_layer(states: Tensor, shares: Tensor) -> dict[str, float]:
    """Return a layer's features. states: `[B, T, H]`; shares: `[lags]`."""
    if not torch.isfinite(shares).all():
        raise ScoreFailed("states are not finite after a change of one input")
    size = float(states.double().square().mean().sqrt())
    return {
        **{
            f"influence_{lag}": math.log(float(shares[min(lag, len(shares) - 1)]) + LOST)
            for lag in LAGS
        },
        "size": math.log(size + LOST),
        "rank": effective_rank(states.flatten(0, 1)),
    }
