"""Measures how far rows of numbers are from independent, by the eigenvalues of correlations."""

import torch
from torch import Tensor

from nas.core.score import ScoreFailed

K = 1e-5  # keeps the logarithm and the quotient finite for an eigenvalue of zero


def correlation_score(rows: Tensor, what: str, rows_are: str) -> float:
    """Return -Σ(log(λ + k) + 1 / (λ + k)) over the eigenvalues λ of row correlations, k = 1e-5.

    rows: `[N, numbers]`; the best score, -N, is that of uncorrelated rows.
    what, rows_are: used in messages, such as "layer 1" and "units never change their state".
    Computed in float64: in float32, the smallest eigenvalues are noise larger than k.
    Raises `ScoreFailed` if a number is not finite or a row is constant.

    Mellor et al. 2021, https://arxiv.org/abs/2006.04647v1, section 3. Serianni and Kalita's code
    calls the general `eig`, which can return complex eigenvalues for a symmetric matrix.
    """
    rows = rows.double()
    if not torch.isfinite(rows).all():
        raise ScoreFailed(f"{what} has values that are not finite")
    centred = rows - rows.mean(dim=1, keepdim=True)
    covariance = centred @ centred.T  # [N, N]
    deviation = covariance.diagonal().sqrt()
    constant = int((deviation == 0).sum())
    if constant:
        raise ScoreFailed(f"{what}: {constant} of {len(deviation)} {rows_are}")
    shifted = torch.linalg.eigvalsh(covariance / deviation / deviation[:, None]) + K
    if not (shifted > 0).all():
        raise ScoreFailed(f"{what}: the correlation matrix has a negative eigenvalue")
    return -float((shifted.log() + 1 / shifted).sum())


def effective_rank(points: Tensor) -> float:
    """Return exp(entropy of the covariance's normalised eigenvalues) as a share of H, in (0, 1].

    points: `[N, H]`, not all equal.
    Roy and Vetterli 2007, https://ieeexplore.ieee.org/document/7098875.
    """
    centred = points.double() - points.double().mean(dim=0)
    eigenvalues = torch.linalg.eigvalsh(centred.T @ centred).clamp_min(0)
    shares = eigenvalues / eigenvalues.sum()
    return float(torch.special.entr(shares).sum().exp()) / points.shape[1]
