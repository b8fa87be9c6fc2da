"""Regularised evolution as a sampler: it learns, and a record restores its state."""

from itertools import pairwise

import numpy as np
import optuna
import pytest

from nas.loop.samplers import evolution
from policies.evolution import RegularisedEvolution
from policies.path_sampler import PathSampler
from search_spaces.decisions import Decision
from search_spaces.options import bin_of

optuna.logging.set_verbosity(optuna.logging.WARNING)


def objective(trial: optuna.Trial) -> float:
    layers = trial.suggest_int("layers", 1, 6)
    return sum(trial.suggest_categorical(f"{i}", (0, 1, 2, 3)) for i in range(layers)) / 18


def sampler(seed: int = 0) -> PathSampler:
    return PathSampler(RegularisedEvolution(np.random.default_rng(seed), 10, 3))


def test_it_beats_random_search() -> None:
    def best(of) -> float:
        study = optuna.create_study(direction="maximize", sampler=of)
        study.optimize(objective, n_trials=150)
        return study.best_value

    seeds = range(5)
    ours = np.mean([best(sampler(seed)) for seed in seeds])
    random = np.mean([best(optuna.samplers.RandomSampler(seed=seed)) for seed in seeds])
    assert ours > random + 0.05


def test_its_population_is_rebuilt_from_the_record() -> None:
    study = optuna.create_study(direction="maximize", sampler=sampler())
    study.optimize(objective, n_trials=40)
    again = sampler(1)
    resumed = optuna.create_study(direction="maximize", sampler=again)
    resumed.add_trials(study.trials)
    resumed.ask()
    assert list(again.policy.alive) == list(study.sampler.policy.alive)


def test_a_child_differs_from_its_parent_in_one_decision() -> None:
    policy = RegularisedEvolution(np.random.default_rng(0), 1, 1)
    study = optuna.create_study(sampler=PathSampler(policy))

    def constant(trial: optuna.Trial) -> float:
        return sum(trial.suggest_int(f"{i}", 0, 9) for i in range(8)) * 0.0

    study.optimize(constant, n_trials=20)
    for parent, child in zip(study.trials, study.trials[1:], strict=False):
        assert sum(parent.params[name] != child.params[name] for name in parent.params) == 1


def test_a_first_decision_with_one_option_does_not_make_proposals_random() -> None:
    policy = RegularisedEvolution(np.random.default_rng(0), 1, 1)
    study = optuna.create_study(sampler=PathSampler(policy))

    def constant(trial: optuna.Trial) -> float:
        trial.suggest_int("settled", 1, 1)
        return sum(trial.suggest_int(f"{i}", 0, 9) for i in range(8)) * 0.0

    study.optimize(constant, n_trials=20)
    for parent, child in pairwise(study.trials):
        assert sum(parent.params[name] != child.params[name] for name in parent.params) == 1


def test_failures_do_not_become_parents() -> None:
    policy = RegularisedEvolution(np.random.default_rng(0), 5, 2)
    study = optuna.create_study(sampler=PathSampler(policy))
    for i in range(10):
        trial = study.ask()
        trial.suggest_int("n", 0, 9)
        if i % 2:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            study.tell(trial, 1.0)
    assert len(policy.alive) == 5
    assert {path[0].index for path, _ in policy.alive} == {
        t.params["n"] for t in study.trials if t.value is not None
    }


def test_a_tournament_larger_than_the_population_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"tournament must be between 1 and population \(5\), not 9"
    ):
        evolution(np.random.default_rng(0), population=5, tournament=9)


def test_a_child_changes_a_real_number_by_a_step_within_its_range() -> None:
    policy = RegularisedEvolution(np.random.default_rng(0), population=1, tournament=1)
    parent = (Decision("rate~1", 7, 8), Decision("rate~2", 6, 8))
    moved = []
    for _ in range(50):
        policy.learn(parent, 1.0)
        coarse = policy.choose((), "rate~1", 8)
        path = (Decision("rate~1", coarse, 8),)
        moved.append(bin_of([coarse, policy.choose(path, "rate~2", 8)]))
    assert 62 not in moved and min(moved) > 30 and max(moved) == 63
