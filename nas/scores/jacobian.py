"""Jacobians: how differently an untrained model's outputs depend on different sequences.

J is the gradient of the sum of the last recurrent layer's outputs with respect to the embedded
input, a row of T·C numbers for each of the B sequences. Decoder, loss and targets are not used.

Serianni and Kalita 2023, https://aclanthology.org/2023.acl-long.142/, section 3.2. The column of
Jacobian covariance in their table is damaged (93 different values for 8,794 models, none of which
their code computes), so comparing with it is meaningless.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.core.score import ScoreFailed
from nas.core.task import Batch
from nas.scores.correlation import correlation_score
from nas.scores.recurrent import finite, input_gradient

NOISES = (0.1, 10.0, 100.0)


class JacobianCovariance:
    """`correlation_score` of the rows of J; closer to zero is better, -B is the best.

    Mellor et al. 2021, https://arxiv.org/abs/2006.04647v1, section 3.
    """

    name = "jacobian-covariance"
    higher_is_better = True

    def __call__(
        self, model: nn.Module, batch: Batch, generator: torch.Generator
    ) -> dict[str, float]:
        return finite(self.name, covariance(input_gradient(model, batch)))


class JacobianCosine:
    """1 - Σ|c|^(1/20) / 2 / (B² - B) over the cosines c of pairs of rows of J, from 0.5 to 1.

    Celotti et al. 2020, https://hal.archives-ouvertes.fr/hal-03219842, with Serianni and Kalita's
    exponent and factor ½. Their code removes the diagonal by subtracting the identity, which leaves
    rounding errors that the twentieth root turns into about ½; we skip the diagonal.
    """

    name = "jacobian-cosine"
    higher_is_better = True

    def __call__(
        self, model: nn.Module, batch: Batch, generator: torch.Generator
    ) -> dict[str, float]:
        return finite(self.name, cosine(input_gradient(model, batch)))


class NoisedJacobianCosine:
    """Four values that compare the Jacobian cosine with and without noise on the embedded input.

    `…-more`: the product of the cosine score without noise and with a = 0.1, 10 and 100;
    `…-0.1`, `…-10`, `…-100`: 1 - |score - score with noise|. The noise is a · v · n with the
    variance v over the batch and normal n. Like the authors, we multiply by the variance, not by
    its root, so that their values of a keep their meaning.
    """

    name = "noised-jacobian-cosine"
    higher_is_better = True

    def __call__(
        self, model: nn.Module, batch: Batch, generator: torch.Generator
    ) -> dict[str, float]:
        return _noised(self.name, cosine, model, batch, generator)


class NoisedJacobianCovariance:
    """Four values as in `NoisedJacobianCosine`, from the Jacobian covariance.

    The product has four negative factors, so a high one is bad.
    """

    name = "noised-jacobian-covariance"
    higher_is_better = False

    def __call__(
        self, model: nn.Module, batch: Batch, generator: torch.Generator
    ) -> dict[str, float]:
        return _noised(self.name, covariance, model, batch, generator)


def covariance(jacobian: Tensor) -> float:
    """Return the Jacobian covariance of `[B, T, C]`."""
    rows = jacobian.flatten(1)
    return correlation_score(rows, "the Jacobian", "sequences have a constant gradient")


def cosine(jacobian: Tensor) -> float:
    """Return the Jacobian cosine of `[B, T, C]`; raises `ScoreFailed` if a row is zero."""
    rows = jacobian.flatten(1).double()
    if len(rows) < 2:
        raise ScoreFailed("the batch has one sequence: comparing Jacobians needs at least 2")
    if not torch.isfinite(rows).all():
        raise ScoreFailed("the Jacobian has values that are not finite")
    zero = int((rows == 0).all(dim=1).sum())
    if zero:
        raise ScoreFailed(f"the Jacobian is zero for {zero} of {len(rows)} sequences")
    rows = functional.normalize(rows, eps=0.0)
    cosines = (rows @ rows.T).fill_diagonal_(0)  # [B, B]
    return 1 - float(cosines.abs().pow(1 / 20).sum() / 2) / (len(rows) ** 2 - len(rows))


def _noised(
    name: str, score_of, model: nn.Module, batch: Batch, generator: torch.Generator
) -> dict[str, float]:
    plain = score_of(input_gradient(model, batch))
    product, values = plain, {}
    for factor in NOISES:
        noised = score_of(input_gradient(model, batch, lambda x, a=factor: _noise(x, a, generator)))
        product *= noised
        values |= finite(f"{name}-{factor:g}", 1 - abs(plain - noised))
    return finite(f"{name}-more", product) | values


def _noise(x: Tensor, factor: float, generator: torch.Generator) -> Tensor:
    normal = torch.randn(x.shape, generator=generator, dtype=x.dtype).to(x.device)
    return x + factor * x.var(dim=0, keepdim=True) * normal
