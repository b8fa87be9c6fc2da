"""A Gaussian process on encoded decisions: predicts rewards and their uncertainty."""

from itertools import product

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

REACHES = (0.1, 0.25, 0.6)  # squared length scale, in units of the mean squared distance
TRUSTS = (0.0, 0.3, 1.0, 3.0)  # prior variance of the weight of a score
NOISES = (0.02, 0.2)


class GaussianProcess:
    """Regression with the kernel exp(-|x - x'|² / 2 r²) + t s·s', plus noise.

    Rasmussen and Williams 2006, algorithm 2.1, http://gaussianprocess.org/gpml. Shapes: `N`
    training points and `M` query points, each with `F` features x and `S` scores s.
    """

    def __init__(self) -> None:
        self.squared_reach, self.trust, self.noise = 1.0, 1.0, NOISES[0]

    def choose_kernel(self, x: Array, s: Array, y: Array) -> None:
        """Choose r, t and the noise from a small grid by the likelihood of the values `[N]`."""
        distances, products = squared_distances(x, x), s @ s.T
        scale = max(float(distances.mean()), 1e-9)
        likeliest = -np.inf
        for reach, trust, noise in product(REACHES, TRUSTS if s.size else (0.0,), NOISES):
            covariance = np.exp(-distances / (2 * reach * scale)) + trust * products
            covariance.flat[:: len(y) + 1] += noise
            root = np.linalg.cholesky(covariance)
            whitened = np.linalg.solve(root, y)
            likelihood = -0.5 * whitened @ whitened - np.log(root.diagonal()).sum()
            if likelihood > likeliest:
                likeliest = likelihood
                self.squared_reach, self.trust, self.noise = reach * scale, trust, noise

    def fit(self, x: Array, s: Array, y: Array) -> None:
        """Fit points `[N, F]` with scores `[N, S]` to their values `[N]`."""
        self._x, self._s = x, s
        covariance = self._kernel(x, s, x, s)
        covariance.flat[:: len(y) + 1] += self.noise
        self._inverse = np.linalg.inv(covariance)
        self._weights = self._inverse @ y

    def mean(self, x: Array, s: Array) -> Array:
        """Return the posterior mean, `[M]`, at points `[M, F]` with scores `[M, S]`."""
        return self._kernel(x, s, self._x, self._s) @ self._weights

    def deviations(self, x: Array, s: Array) -> Array:
        """Return a square root of the posterior covariance, `[M, M]`.

        Its product with M standard normal numbers is a posterior sample minus the mean.
        """
        known = self._kernel(x, s, self._x, self._s)
        covariance = self._kernel(x, s, x, s) - known @ self._inverse @ known.T
        values, vectors = np.linalg.eigh(covariance)
        return vectors * np.sqrt(values.clip(min=0))

    def _kernel(self, x: Array, s: Array, others: Array, their_scores: Array) -> Array:
        near = np.exp(-squared_distances(x, others) / (2 * self.squared_reach))
        return near + self.trust * (s @ their_scores.T)


def squared_distances(x: Array, y: Array) -> Array:
    """Return the squared distances between all rows of x and y, `[N, M]`."""
    norms = (x * x).sum(axis=1)[:, None] + (y * y).sum(axis=1)
    return (norms - 2 * x @ y.T).clip(min=0)
