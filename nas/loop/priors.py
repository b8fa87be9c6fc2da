"""Priors in a search: a share of the proposals follows them while results agree with them."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, Trial, TrialState

from policies.path_sampler import options_of
from search_spaces.decisions import InvalidArchitecture, at_random
from search_spaces.options import Prior, drawn
from search_spaces.space import SearchSpace

PROBES = 20  # random architectures that show which questions have priors
MEMORY = 100  # results that trust depends on, the latest
BELIEF = 20  # results that the priors count like
KEPT = 0.85  # share of the best candidate's answers that its variation keeps


@dataclass(frozen=True, slots=True)
class _Result:
    """A finished trial; its costs are infinite if it failed."""

    answers: Mapping[str, Any]
    distributions: Mapping[str, BaseDistribution]
    costs: tuple[float, ...]


class PriorSampler(BaseSampler):
    """Proposes what the priors of a space favour, or what another sampler proposes.

    The first proposal gives the priors' answers. Later ones follow the priors with a probability,
    the trust: half of them draw every answer from its prior, the other half vary the best candidate
    with such draws. PriorBand mixes the same sources (Mallik et al. 2023, section 4,
    https://arxiv.org/abs/2306.12370). The trust is 1 at first. It moves towards the rank
    correlation between the priors' probabilities and the results, and fades with the number of
    results, as the exponent of piBO does (Hvarfner et al. 2022, eq. 6,
    https://arxiv.org/abs/2204.11051). The other sampler learns from all proposals. A space without
    priors leaves all proposals to it.

    sampler: any Optuna sampler. seed: seeds the draws.
    """

    def __init__(self, sampler: BaseSampler, seed: int | tuple[int, ...]) -> None:
        self.sampler = sampler
        self.priors: dict[str, Prior] = {}
        self._rng = np.random.default_rng(seed)
        self._results: dict[tuple, _Result] = {}  # by answers, the latest
        self._has_looked = False
        self._known_supports: dict[tuple, float] = {}
        self._priors_of_supports = 0
        self._finished = 0
        self.is_open = False  # whether the priors' own answers were proposed
        self._following: int | None = None  # the number of the trial that follows the priors
        self._varied: Mapping[str, Any] = {}  # the answers that it varies

    def look_at(self, space: SearchSpace) -> None:
        """Find the questions of a space that have priors; later proposals may find more."""
        rng, self._has_looked = np.random.default_rng(0), True
        for _ in range(PROBES):
            decisions = at_random(rng)
            with suppress(InvalidArchitecture):
                space.decide(decisions)
            self.priors |= decisions.priors

    def learn(self, trial: FrozenTrial | Trial, costs: Sequence[float] | None) -> None:
        """Take in an evaluated trial; lower costs are better, None is a failure."""
        if self._has_looked and not self.priors:
            return
        self.is_open = True
        key = tuple(trial.params.items())
        self._finished += key not in self._results
        known = (np.inf,) if costs is None else tuple(costs)
        self._results[key] = _Result(trial.params, trial.distributions, known)
        if len(self._results) > MEMORY:
            del self._results[next(iter(self._results))]

    def trust(self) -> float:
        """Return the probability that the next proposal follows the priors."""
        if not self.priors:
            return 0.0
        results = len(self._results)
        supports = _ranks(self._supports())
        agreement = _correlation(supports, -self._places())
        belief = (BELIEF + results * agreement) / (BELIEF + results)
        return max(0.0, belief) * BELIEF / (BELIEF + self._finished)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self.sampler.before_trial(study, trial)
        self._following = None
        if self.priors and self._rng.random() < self.trust():
            self._following, self._varied = trial.number, {}
            if self._results and self._rng.random() < 0.5:
                best = int(self._places().argmin())
                self._varied = list(self._results.values())[best].answers

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return self.sampler.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        found = self.sampler.sample_relative(study, trial, search_space)  # NSGA-II counts the call
        return {} if self._follows(trial) else found

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        if not self._follows(trial):
            return self.sampler.sample_independent(study, trial, param_name, param_distribution)
        options, prior = options_of(param_distribution), self.priors.get(param_name)
        kept = self._varied.get(param_name)
        if kept is not None and kept in options and self._rng.random() < KEPT:
            return kept
        if prior is None or prior.answer not in options:
            return drawn(options, self._rng)
        return prior.draw(options, self._rng) if self.is_open else prior.answer

    def after_trial(
        self,
        study: Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        self.sampler.after_trial(study, trial, state, values)

    def reseed_rng(self) -> None:
        self.sampler.reseed_rng()

    def _follows(self, trial: FrozenTrial) -> bool:
        return self._following == trial.number

    def _supports(self) -> list[float]:
        """Return the logarithm of each result's probability under the priors."""
        if len(self.priors) != self._priors_of_supports:
            self._priors_of_supports = len(self.priors)
            self._known_supports.clear()
        known = {
            key: self._known_supports[key] if key in self._known_supports else self._support(result)
            for key, result in self._results.items()
        }
        self._known_supports = known
        return list(known.values())

    def _support(self, result: _Result) -> float:
        return sum(
            prior.support(options_of(result.distributions[name]), result.answers[name])
            for name, prior in self.priors.items()
            if name in result.answers
        )

    def _places(self) -> NDArray[np.float64]:
        """Return each result's rank, the best first, or the sum of its ranks by several costs."""
        results = self._results.values()
        objectives = max((len(result.costs) for result in results), default=1)
        rows = [(result.costs * objectives)[:objectives] for result in results]
        return sum(map(_ranks, zip(*rows, strict=True)), np.zeros(len(rows)))


def _ranks(values: Sequence[float]) -> NDArray[np.float64]:
    """Return the rank of each value; ties share their mean rank."""
    _, places, times = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(times) - times / 2)[places]


def _correlation(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Return Pearson's correlation, 0 if it is not defined."""
    if len(x) < 2 or not x.std() or not y.std():
        return 0.0
    return float(np.corrcoef(x, y)[0, 1])
