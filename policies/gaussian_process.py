"""A Gaussian process on encoded decisions: predicts rewards and their uncertainty."""

from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

REACHES = (0.1, 0.25, 0.6)  # squared length scale, in units of the mean squared distance
SHARES = (0.0, 0.5)  # of the prior variance, for the sum of single answers' effects
TRUSTS = (0.0, 0.3, 1.0, 3.0)  # prior variance of the weight of a score
NOISES = (0.02, 0.1, 0.3)


class Kernel(NamedTuple):
    """(1 - share) exp(-|x - x'|² / 2 reach²) + share x·x' / norm + trust s·s', and the noise.

    norm: the mean of |x|².
    """

    squared_reach: float
    share: float
    norm: float
    trust: float
    noise: float

    def __call__(self, x: Array, s: Array, others: Array, their_scores: Array) -> Array:
        return self.of(squared_distances(x, others), x @ others.T, s @ their_scores.T)

    def of(self, distances: Array, products: Array, scores: Array) -> Array:
        near = np.exp(-distances / (2 * self.squared_reach))
        added = self.share / self.norm * products + self.trust * scores
        return (1 - self.share) * near + added

    def variances(self, x: Array, s: Array) -> Array:
        """Return the prior variance of each point, `[N]`."""
        added = self.share / self.norm * (x * x).sum(axis=1) + self.trust * (s * s).sum(axis=1)
        return 1 - self.share + added


class GaussianProcess:
    """Regression with a kernel drawn by its likelihood, plus noise.

    Rasmussen and Williams 2006, algorithm 2.1 and section 5.2, http://gaussianprocess.org/gpml.
    Shapes: `N` training points and `M` query points, each with `F` features x and `S` scores s.
    """

    def __init__(self) -> None:
        self.kernel = Kernel(1.0, 0.0, 1.0, 1.0, NOISES[0])
        self._kernels, self._weights_of = [self.kernel], np.ones(1)

    def weigh_kernels(self, x: Array, s: Array, y: Array) -> None:
        """Weigh a small grid of kernels by the likelihood of the values `[N]`."""
        distances, products, scores = squared_distances(x, x), x @ x.T, s @ s.T
        scale, norm = max(float(distances.mean()), 1e-9), float((x * x).sum(axis=1).mean()) or 1.0
        trusts = TRUSTS if s.size else (0.0,)
        self._kernels = [
            Kernel(reach * scale, share, norm, trust, noise)
            for reach, share, trust, noise in product(REACHES, SHARES, trusts, NOISES)
        ]
        logarithms = [_likelihood(k, k.of(distances, products, scores), y) for k in self._kernels]
        weights = np.exp(np.array(logarithms) - max(logarithms))
        self._weights_of = weights / weights.sum()
        self.kernel = self._kernels[int(weights.argmax())]

    def draw_kernel(self, rng: np.random.Generator) -> None:
        """Draw the kernel of the next fit in proportion to its likelihood."""
        self.kernel = self._kernels[rng.choice(len(self._kernels), p=self._weights_of)]

    def fit(self, x: Array, s: Array, y: Array) -> None:
        """Fit points `[N, F]` with scores `[N, S]` to their values `[N]`."""
        self._x, self._s = x, s
        covariance = self.kernel(x, s, x, s)
        covariance.flat[:: len(y) + 1] += self.kernel.noise
        self._inverse = np.linalg.inv(covariance)
        self._weights = self._inverse @ y

    def predict(self, x: Array, s: Array) -> tuple[Array, Array]:
        """Return mean and deviation of the values, `[M]`, at points `[M, F]` with scores `[M, S]`.

        The deviation includes the noise: it is that of a value, not of its expectation. Features
        that come after those of the training points are 0 there.
        """
        trained = np.pad(self._x, ((0, 0), (0, x.shape[1] - self._x.shape[1])))
        known = self.kernel(x, s, trained, self._s)
        explained = ((known @ self._inverse) * known).sum(axis=1)
        left = (self.kernel.variances(x, s) - explained).clip(min=0)
        return known @ self._weights, np.sqrt(left + self.kernel.noise)


def _likelihood(kernel: Kernel, covariance: Array, y: Array) -> float:
    covariance.flat[:: len(y) + 1] += kernel.noise
    root = np.linalg.cholesky(covariance)
    whitened = np.linalg.solve(root, y)
    return float(-0.5 * whitened @ whitened - np.log(root.diagonal()).sum())


def squared_distances(x: Array, y: Array) -> Array:
    """Return the squared distances between all rows of x and y, `[N, M]`."""
    norms = (x * x).sum(axis=1)[:, None] + (y * y).sum(axis=1)
    return (norms - 2 * x @ y.T).clip(min=0)
