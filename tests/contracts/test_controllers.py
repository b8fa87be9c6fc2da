"""Every controller keeps the contract; a controller joins by its name in the registry."""

import numpy as np
import optuna
import pytest
from optuna.samplers import BaseSampler, RandomSampler

from nas.core.registry import create_controller
from nas.loop.samplers import MULTI_OBJECTIVE
from nas.testing import check_controller
from policies.path_sampler import PathSampler, supports_several
from search_spaces.rnn_cell.space import RnnCellSpace
from tests.toys import CONTROLLERS, Perceptrons

EVERY_CONTROLLER = pytest.mark.parametrize("name", CONTROLLERS)
EVERY_SPACE = pytest.mark.parametrize(
    "space", [Perceptrons(), RnnCellSpace((1, 1), (7,))], ids=lambda s: s.name
)


def sampler(name: str, seed: int = 0) -> BaseSampler:
    return create_controller(name, np.random.default_rng(seed), {})


@EVERY_SPACE
@EVERY_CONTROLLER
def test_it_keeps_the_contract(name: str, space) -> None:
    check_controller(lambda rng: create_controller(name, rng, {}), space)


@EVERY_CONTROLLER
def test_it_follows_several_objectives_or_says_that_it_does_not(name: str) -> None:
    study = optuna.create_study(sampler=sampler(name), directions=["minimize", "maximize"])
    if name in MULTI_OBJECTIVE:
        assert study.ask().suggest_int("width", 1, 9)
    else:
        with pytest.raises(ValueError, match="only one objective"):
            study.ask()


@EVERY_CONTROLLER
def test_a_policy_can_be_given_another_generator(name: str) -> None:
    """So that the check compares a resumed policy with the first one."""
    made = sampler(name)
    assert supports_several(made) == (name in MULTI_OBJECTIVE)
    assert not isinstance(made, PathSampler) or hasattr(made.policy, "rng")


class Uniform:
    """A policy that keeps the contract."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng, self.heard = rng, 0

    def choose(self, path, name: str, options: int) -> int:
        return int(self.rng.integers(options))

    def learn(self, path, reward: float | None) -> None:
        self.heard += 1


class FirstOption(Uniform):
    def choose(self, path, name, options):
        return 0


class OutOfRange(Uniform):
    def choose(self, path, name, options):
        return options


class FearsFailures(Uniform):
    def learn(self, path, reward):
        self.heard += reward  # type: ignore[operator]


class ForgetsTheRecord(Uniform):
    """Draws differently the longer it lives, whatever it has heard."""

    def __init__(self, rng):
        super().__init__(rng)
        self.asked = 0

    def choose(self, path, name, options):
        self.asked += 1
        return (self.asked + int(self.rng.integers(options))) % options


class Minimises(Uniform):
    """Repeats what was worst."""

    def __init__(self, rng):
        super().__init__(rng)
        self.worst, self.answers = np.inf, {}

    def choose(self, path, name, options):
        if name in self.answers:
            return min(self.answers[name], options - 1)
        return super().choose(path, name, options)

    def learn(self, path, reward):
        if reward is not None and reward < self.worst:
            self.worst, self.answers = reward, {d.name: d.index for d in path}


def made(policy) -> object:
    return lambda rng: PathSampler(policy(rng), seed=int(rng.integers(2**31)))


class OneObjectiveBadly(RandomSampler):
    def before_trial(self, study, trial):
        assert len(study.directions) == 1


def seedless(rng: np.random.Generator) -> BaseSampler:
    return RandomSampler()


def ignores_its_seed(rng: np.random.Generator) -> BaseSampler:
    return RandomSampler(seed=0)


BROKEN = [
    (lambda: RandomSampler(), "make a sampler of a numpy.random.Generator"),
    (lambda rng: Uniform(rng), "makes a Uniform: return an Optuna sampler"),
    (made(FirstOption), "60 trials hold|worse than random ones"),
    (made(OutOfRange), "raises IndexError"),
    (made(FearsFailures), "raises TypeError"),
    (made(Minimises), "higher is better where the study says maximize"),
    (made(ForgetsTheRecord), "goes on with a record proposes something else"),
    (seedless, "the same seed proposes something else"),
    (ignores_its_seed, "another seed proposes the same"),
    (lambda rng: OneObjectiveBadly(int(rng.integers(99))), "raise ValueError if it follows one"),
]


@pytest.mark.parametrize(("make", "words"), BROKEN)
def test_what_is_broken_is_caught(make, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        check_controller(make, Perceptrons())


def test_what_is_not_broken_passes() -> None:
    check_controller(made(Uniform), Perceptrons())  # type: ignore[arg-type]
