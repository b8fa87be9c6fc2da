"""The check of a controller."""

import math
from collections.abc import Callable

import numpy as np
import optuna
import torch
from optuna.samplers import BaseSampler
from optuna.trial import TrialState
from torch import nn

from nas.loop.constraints import Infeasible
from nas.loop.controller import Controller, Proposal
from nas.testing.requiring import no_error, require
from policies.path_sampler import PathSampler
from search_spaces.architecture import Architecture
from search_spaces.decisions import Decisions
from search_spaces.rnn_cell.space import RnnCellSpace
from search_spaces.space import ModelShape, SearchSpace, Space

LOWEST_RATE, BEST_RATE = 1e-4, 3e-3
Make = Callable[[np.random.Generator], BaseSampler]


def check_controller(make: Make, space: SearchSpace | None = None) -> None:
    """Raise `AssertionError` unless a controller serves a search from beginning to end.

    make: makes the Optuna sampler from a generator, as a search does.
    space: that it proposes architectures of; small RNN cells if it is not given.

    The same seed must propose the same, another seed something else; failures, results in any
    order and candidates from the record of an interrupted run must be taken in. Real numbers on a
    logarithmic scale, priors, and candidates that miss a constraint must be, too.
    """
    name, space = getattr(make, "__name__", "controller"), space or RnnCellSpace((1, 1), (7,))
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with no_error(name, "make a sampler of a numpy.random.Generator"):
        sampler = make(np.random.default_rng(0))
    require(
        isinstance(sampler, BaseSampler),
        f"{name} makes a {type(sampler).__name__}: return an Optuna sampler, or "
        "policies.path_sampler.PathSampler(policy)",
    )
    checked = _Checked(name, make, space)
    checked.plain_studies()
    checked.seeds()
    checked.any_order()
    checked.real_numbers()
    checked.priors()
    checked.constraints()
    checked.record_of_another()
    if isinstance(sampler, PathSampler) and hasattr(sampler.policy, "rng"):
        checked.state_from_the_record()
    checked.several_objectives()


class _Checked:
    """A controller, what it is called in messages, and the space that it is tried on."""

    def __init__(self, name: str, make: Make, space: SearchSpace) -> None:
        self.name, self.make, self.space = name, make, space

    def sampler(self, seed: int = 0) -> BaseSampler:
        return self.make(np.random.default_rng(seed))

    def plain_studies(self) -> None:
        """Conditional parameters, a float, a settled decision, and failures, in both directions."""
        for direction in ("minimize", "maximize"):
            study = optuna.create_study(sampler=self.sampler(), direction=direction)
            with no_error(f"{self.name}: an Optuna study to {direction}"):
                study.optimize(_objective, n_trials=60)
            best = study.best_value
            require(
                best > 3 if direction == "maximize" else best < 0,
                f"{self.name}: the best of 60 trials to {direction} is {best:.3g}, worse than "
                "random ones: higher is better where the study says maximize",
            )
            different = len({tuple(trial.params.items()) for trial in study.trials})
            require(
                different > 10,
                f"{self.name}: 60 trials hold {different} different proposals: try more of them",
            )

    def seeds(self) -> None:
        first = self._proposals(0)
        require(len(set(first)) > 1, f"{self.name} proposes one architecture only")
        require(
            first == self._proposals(0),
            f"{self.name}: the same seed proposes something else: draw from the generator alone",
        )
        require(
            first != self._proposals(1),
            f"{self.name}: another seed proposes the same: draw from the given generator",
        )

    def _proposals(self, seed: int, count: int = 24) -> list[str]:
        """Digests of what is proposed when every fifth fails."""
        asked, digests = Controller(self.sampler(seed), maximise=True), []
        for i in range(count):
            with no_error(f"{self.name}: a proposal after {i} results"):
                proposal = asked.propose(self.space)
                asked.tell(proposal.token, None if i % 5 == 0 else _value(proposal))
            digests.append(proposal.architecture.digest())
        return digests

    def any_order(self) -> None:
        asked = Controller(self.sampler(), maximise=False)
        with no_error(f"{self.name}: results in another order than the proposals"):
            waiting = [asked.propose(self.space) for _ in range(40)]
            for proposal in reversed(waiting):
                asked.tell(proposal.token, _value(proposal))
            asked.propose(self.space)

    def real_numbers(self) -> None:
        asked, space = Controller(self.sampler(), maximise=False), Rates()
        rates = []
        for i in range(60):
            with no_error(f"{self.name}: a real number after {i} results"):
                proposal = asked.propose(space)
                rates.append(proposal.params["rate"])
                asked.tell(proposal.token, abs(math.log10(rates[-1] / BEST_RATE)))
        misses = sorted(abs(math.log10(rate / BEST_RATE)) for rate in rates)
        require(
            all(LOWEST_RATE <= rate <= 1 for rate in rates) and misses[0] < 0.3,
            f"{self.name}: the best of 60 rates is a factor of {10 ** misses[0]:.1f} from the "
            "optimum, worse than random ones: choose on the logarithmic scale",
        )
        require(
            len(set(rates)) > 10,
            f"{self.name}: 60 proposals hold {len(set(rates))} different rates: try more of them",
        )

    def priors(self) -> None:
        """A prior opens the search, and results that contradict it end its influence."""
        right, wrong = self._rates_near_the_prior(-1), self._rates_near_the_prior(1)
        require(
            sum(right[:12]) >= 5 and right[0] and wrong[0] and sum(wrong[-20:]) <= 10,
            f"{self.name}: {sum(right[:12])} of the first 12 rates follow a right prior, and "
            f"{sum(wrong[-20:])} of the last 20 a wrong one: propose it first, then let results "
            "decide",
        )

    def _rates_near_the_prior(self, sign: int) -> list[bool]:
        """Return for each of 60 proposals whether it is near 0.5, the best rate if sign is -1."""
        asked, space, near = Controller(self.sampler(), maximise=False), Rates(prior=0.5), []
        for _ in range(60):
            with no_error(f"{self.name}: a space with priors"):
                proposal = asked.propose(space)
                rate = proposal.params["rate"]
                asked.tell(proposal.token, sign * math.log10(rate))
            near.append(rate > 0.1)
        return near

    def constraints(self) -> None:
        """What misses a constraint is worse than everything that does not."""
        asked, space = Controller(self.sampler(), maximise=False), Rates()
        feasible = []
        for _ in range(60):
            with no_error(f"{self.name}: candidates that miss a constraint"):
                proposal = asked.propose(space)
                rate = proposal.params["rate"]
                feasible.append(rate < 0.1)
                missed = Infeasible({"rate<0.1": math.log10(rate / 0.1) + 1})
                asked.tell(proposal.token, -rate if feasible[-1] else missed)
        require(
            sum(feasible[30:]) >= 15,
            f"{self.name}: {sum(feasible[30:])} of the last 30 proposals keep a constraint that "
            "75 % of random ones keep: take values as they come",
        )

    def record_of_another(self) -> None:
        """Also with failures, and with candidates that are still being evaluated."""
        before, after = (Controller(self.sampler(seed), maximise=True) for seed in (0, 1))
        with no_error(f"{self.name}: going on with the record of a run"):
            for i in range(30):
                proposal = before.propose(self.space)
                if i % 6 != 5:
                    before.tell(proposal.token, None if i % 6 == 4 else float(i))
            for trial in before._study.trials:
                after.remember(trial, trial.value, evaluated=trial.state.is_finished())
            for _ in range(5):
                after.tell(after.propose(self.space).token, 1.0)
        states = [trial.state for trial in after._study.trials]
        known = 0 if isinstance(after.sampler, PathSampler) else 20  # a policy learns them directly
        require(
            states.count(TrialState.COMPLETE) >= known + 5
            and states.count(TrialState.RUNNING) == 5,
            f"{self.name}: the record of a run is not taken in whole",
        )

    def state_from_the_record(self) -> None:
        """With equal generators from there on, the resumed policy proposes what the first does."""
        samplers = self.sampler(), self.sampler()
        before, after = (Controller(sampler, maximise=True) for sampler in samplers)
        for i in range(37):
            proposal = before.propose(self.space)
            before.tell(proposal.token, None if i % 6 == 4 else float(i * 7 % 20))
        for trial in before._study.trials:
            after.remember(trial, trial.value, evaluated=True)
        proposed = []
        for controller, sampler in zip((before, after), samplers, strict=True):
            sampler.policy.rng = np.random.default_rng(5)  # type: ignore[attr-defined]
            drawn = []
            for i in range(12):
                proposal = controller.propose(self.space)
                drawn.append(proposal.architecture)
                controller.tell(proposal.token, float(i))
            proposed.append(drawn)
        require(
            proposed[0] == proposed[1],
            f"{self.name}: a policy that goes on with a record proposes something else: let its "
            "state follow from what learn is told",
        )

    def several_objectives(self) -> None:
        """It follows them, or says by `ValueError` that it does not."""
        study = optuna.create_study(sampler=self.sampler(), directions=["minimize", "maximize"])
        try:
            study.optimize(_both, n_trials=50)
        except ValueError:
            return
        except Exception as error:
            raise AssertionError(
                f"{self.name}: a study of two objectives raises {type(error).__name__}: {error}; "
                "raise ValueError if it follows one objective only"
            ) from error
        require(
            len(study.best_trials) > 1,
            f"{self.name}: the Pareto front of 50 trials is one trial: raise ValueError if it "
            "follows one objective only",
        )


class Rates(Space):
    """A space of one logarithmic rate and a choice that does not matter."""

    name = "rates"

    def __init__(self, prior: float | None = None) -> None:
        self.prior = prior

    def decide(self, decisions: Decisions) -> Architecture:
        rate = decisions.real("rate", LOWEST_RATE, 1, log=True, prior=self.prior)
        return Architecture(self.name, (rate, decisions.choose("choice", ("a", "b", "c"))))

    def build(
        self, architecture: Architecture, shape: ModelShape, generator: torch.Generator
    ) -> nn.Module:
        raise NotImplementedError("rates have no models")


def _value(proposal: Proposal) -> float:
    """A number that belongs to the architecture, as good as drawn."""
    return int(proposal.architecture.digest()[:4], 16) / 2**16


def _objective(trial: optuna.Trial) -> float:
    trial.suggest_int("settled", 3, 3)
    layers = trial.suggest_int("layers", 1, 3)
    total = sum(trial.suggest_categorical(f"{i}", (0, 1, 2)) for i in range(layers))
    rate = trial.suggest_float("rate", 0, 1)
    if total == 1:
        raise optuna.TrialPruned
    return total - rate


def _both(trial: optuna.Trial) -> tuple[float, float]:
    width = trial.suggest_int("width", 1, 9)
    return float(trial.suggest_int("other", 1, 9) + width), float(width)
