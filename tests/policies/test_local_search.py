"""Local search as a sampler: neighbours of the best, restarts, and state from a record."""

from itertools import pairwise

import numpy as np
import optuna

from policies.local_search import LocalSearch
from policies.path_sampler import PathSampler
from search_spaces.decisions import Decision

optuna.logging.set_verbosity(optuna.logging.WARNING)


def policy(seed: int = 0) -> LocalSearch:
    return LocalSearch(np.random.default_rng(seed))


def hill(trial: optuna.Trial) -> float:
    return -sum((trial.suggest_int(f"{i}", 0, 9) - 4) ** 2 for i in range(4))


def test_it_climbs_a_hill() -> None:
    study = optuna.create_study(sampler=PathSampler(policy()), direction="maximize")
    study.optimize(hill, n_trials=250)
    assert study.best_value == 0


def test_it_tries_every_neighbour_once_and_then_restarts() -> None:
    study = optuna.create_study(sampler=PathSampler(policy()), direction="maximize")

    def flat(trial: optuna.Trial) -> float:
        return sum(trial.suggest_categorical(name, (0, 1, 2)) for name in "abc") * 0.0

    study.optimize(flat, n_trials=8)
    first, *others, _ = [tuple(trial.params.values()) for trial in study.trials]
    assert len(set(others)) == 6  # three decisions, two other options each
    assert all(sum(map(int.__ne__, first, other)) == 1 for other in others)
    assert study.sampler.policy.incumbent == tuple(
        Decision(name, index, 3)
        for name, index in zip("abc", study.trials[-1].params.values(), strict=True)
    )


def conditional(trial: optuna.Trial) -> float:
    layers = trial.suggest_int("layers", 1, 4)
    total = sum(trial.suggest_categorical(f"{i}", (0, 1, 2)) for i in range(layers))
    if total == 2:
        raise optuna.TrialPruned
    return total % 5


def test_its_state_is_rebuilt_from_the_record() -> None:
    for trials in (1, 7, 30, 31, 32, 80):
        study = optuna.create_study(sampler=PathSampler(policy()), direction="maximize")
        study.optimize(conditional, n_trials=trials)
        again = PathSampler(policy(1))
        resumed = optuna.create_study(sampler=again, direction="maximize")
        resumed.add_trials(study.trials)
        resumed.ask()
        for part in ("incumbent", "reward", "tried", "untried"):
            assert getattr(again.policy, part) == getattr(study.sampler.policy, part)


def test_neighbours_in_flight_differ() -> None:
    study = optuna.create_study(sampler=PathSampler(policy()), direction="maximize")
    study.optimize(hill, n_trials=1)
    for _ in range(36):
        hill(study.ask())
    waiting = [tuple(trial.params.items()) for trial in study.trials[1:]]
    assert len(set(waiting)) == 36  # all neighbours
    hill(study.ask())  # random while all neighbours are in flight


def test_a_failed_neighbour_is_not_tried_again() -> None:
    asked = policy()
    start = (Decision("a", 0, 3),)
    asked.learn(start, 1.0)
    asked.learn((Decision("a", 1, 3),), None)
    assert list(asked.untried) == [("a", 2)]


def test_the_best_never_falls_until_a_restart() -> None:
    study = optuna.create_study(sampler=PathSampler(policy()), direction="maximize")
    rewards = []
    for _ in range(60):
        study.optimize(hill, n_trials=1)
        rewards.append(study.sampler.policy.reward)
    falls = [new for old, new in pairwise(rewards) if new < old]
    assert all(new == -np.inf for new in falls)
