"""Time constants: for how many steps the states of a recurrent layer resemble themselves."""

import math

import numpy as np
import torch
from torch import Tensor, nn

from nas.core.score import ScoreFailed
from nas.core.task import Batch
from nas.scores.influence import of_one_length
from nas.scores.recurrent import finite, layer_outputs

LAGS = 30  # steps that are fitted, as far as a quarter of the sequences allows
FASTEST, SLOWEST = 0.2, 100.0  # steps; the paper's fit has the same upper bound
CANDIDATES = 80  # time constants that are tried, evenly spaced on a logarithmic scale


class TimeConstants:
    """One value per recurrent layer: the median of its units' time constants, in steps.

    Measures an untrained network in a search, and a trained one with `time_constants`.
    """

    name = "time-constants"
    higher_is_better = True

    def __call__(
        self, model: nn.Module, batch: Batch, generator: torch.Generator
    ) -> dict[str, float]:
        with torch.no_grad():
            layers = layer_outputs(model, of_one_length(batch))
        values = {}
        for i, states in enumerate(layers, start=1):
            found = time_constants(states)
            if not len(found):
                raise ScoreFailed(f"the states of layer {i} are not finite or never change")
            values |= finite(f"{self.name}-{i}", float(np.median(found)))
        return values


def time_constants(states: Tensor) -> np.ndarray:
    """Return the time constant of each unit that changes, in steps, from states `[B, T, H]`.

    A decay a·exp(-k/τ), or a sum of two of them, is fitted to the unit's autocorrelation at lags
    k. The Akaike criterion chooses; of two decays, τ is the slower one. So measured, τ includes
    what recurrent connections add to a unit's own memory (τ_net).
    Khajehabdollahi et al. 2024, https://arxiv.org/abs/2309.12927, and the authors' code; their
    optimiser is a search over a grid here, whose neighbours differ by 8 %.

    Raises `ScoreFailed` for fewer than 12 steps.
    """
    steps = states.shape[1]
    lags = min(LAGS, steps // 4)
    if lags < 3:
        raise ScoreFailed(f"sequences of {steps} steps are too short: 12 are needed")
    found = autocorrelation(states, lags)
    return _fitted(found[np.isfinite(found).all(axis=1)])


def autocorrelation(states: Tensor, lags: int) -> np.ndarray:
    """Return each unit's autocorrelation at lags 0 to `lags`, `[H, lags + 1]`.

    states: `[B, T, H]`. Sums over T - k steps are divided by T - k, and averaged over sequences.
    """
    apart = states.double() - states.double().mean(dim=1, keepdim=True)
    steps = states.shape[1]
    sums = [(apart[:, : steps - k] * apart[:, k:]).mean(dim=1).mean(dim=0) for k in range(lags + 1)]
    covariance = torch.stack(sums, dim=-1)  # [H, lags + 1]
    still = covariance[:, :1] <= 1e-12 * states.double().square().mean()
    return torch.where(still, math.nan, covariance / covariance[:, :1]).cpu().numpy()


def _fitted(correlation: np.ndarray) -> np.ndarray:
    """Return the slower time constant of the better fit to each row of `[H, lags + 1]`."""
    taus = np.geomspace(FASTEST, SLOWEST, CANDIDATES)
    decays = np.exp(-np.arange(correlation.shape[1]) / taus[:, None])  # [candidates, lags + 1]
    one, one_error = _one_decay(correlation, decays)
    _, slower, two_error = _two_decays(correlation, decays)
    points = correlation.shape[1]
    prefers_two = _akaike(4, two_error, points) < _akaike(2, one_error, points)
    return np.where(prefers_two, taus[slower], taus[one])


def _akaike(parameters: int, error: np.ndarray, points: int) -> np.ndarray:
    return 2 * parameters + points * np.log(np.maximum(error, 1e-20))


def _one_decay(y: np.ndarray, decays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the best candidate for each row of y, and its sum of squared errors."""
    weight = np.maximum(y @ decays.T, 0) / (decays**2).sum(axis=1)
    errors = (y**2).sum(axis=1, keepdims=True) - weight**2 * (decays**2).sum(axis=1)
    best = errors.argmin(axis=1)
    return best, errors[np.arange(len(y)), best]


def _two_decays(y: np.ndarray, decays: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the best pair of candidates with positive weights, fast and slow, and its error."""
    fast, slow = np.triu_indices(len(decays), k=1)
    products = decays @ decays.T
    aa, bb, ab = products[fast, fast], products[slow, slow], products[fast, slow]
    seen = y @ decays.T
    ya, yb = seen[:, fast], seen[:, slow]
    determinant = aa * bb - ab**2
    a, b = (ya * bb - yb * ab) / determinant, (yb * aa - ya * ab) / determinant
    errors = (y**2).sum(axis=1, keepdims=True) - a * ya - b * yb
    errors[(a <= 0) | (b <= 0)] = np.inf
    best = errors.argmin(axis=1)
    return fast[best], slow[best], errors[np.arange(len(y)), best]
