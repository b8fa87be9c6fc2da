"""Monte Carlo tree search as a sampler: its tree, its statistics, its state from a record."""

import numpy as np
import optuna
import pytest

from nas.loop.samplers import mcts
from policies.mcts import TreeSearch
from policies.path_sampler import PathSampler
from search_spaces.decisions import Decision

optuna.logging.set_verbosity(optuna.logging.WARNING)


def policy(seed: int = 0, **options: float) -> TreeSearch:
    return TreeSearch(np.random.default_rng(seed), **options)


def study(asked: TreeSearch) -> optuna.Study:
    return optuna.create_study(sampler=PathSampler(asked), direction="maximize")


def conditional(trial: optuna.Trial) -> float:
    trial.suggest_int("settled", 1, 1)
    layers = trial.suggest_int("layers", 1, 6)
    total = sum(trial.suggest_categorical(f"{i}", (0, 1, 2, 3)) for i in range(layers))
    if total == 2:
        raise optuna.TrialPruned
    return total / 18


def best(sampler: optuna.samplers.BaseSampler) -> float:
    asked = optuna.create_study(direction="maximize", sampler=sampler)
    asked.optimize(conditional, n_trials=150)
    return asked.best_value


def test_it_beats_random_search() -> None:
    ours = np.mean([best(PathSampler(policy(seed))) for seed in range(5)])
    random = np.mean([best(optuna.samplers.RandomSampler(seed=seed)) for seed in range(5)])
    assert ours > random + 0.05


def test_its_tree_is_rebuilt_from_the_record() -> None:
    first = study(policy())
    first.optimize(conditional, n_trials=60)
    again = policy(1)
    resumed = optuna.create_study(sampler=PathSampler(again), direction="maximize")
    resumed.add_trials(first.trials)
    resumed.ask()
    for part in ("root", "anywhere", "rewards"):
        assert getattr(again, part) == getattr(first.sampler.policy, part)


def test_candidates_in_flight_are_counted_separately_and_differ() -> None:
    asked = policy(chance=0)
    started = study(asked)
    waiting = [started.ask() for _ in range(8)]
    first = [trial.suggest_int("n", 0, 7) for trial in waiting]
    assert (asked.root.visits, asked.root.flying) == (0, 8)
    assert len(set(first)) >= 5
    for trial in waiting:
        started.tell(trial, 1.0)
    assert (asked.root.visits, asked.root.flying) == (8, 0)
    assert sum(child.visits for child in asked.root.children.values()) == 8


def test_no_candidate_is_repeated_until_all_are_known() -> None:
    started = study(policy())

    def small(trial: optuna.Trial) -> float:
        a = trial.suggest_int("a", 0, 2)
        return a + sum(trial.suggest_int(f"b{i}", 0, 2) for i in range(a))

    started.optimize(small, n_trials=1 + 3 + 9)
    assert len({tuple(trial.params.items()) for trial in started.trials}) == 13
    assert started.sampler.policy.root.closed
    started.optimize(small, n_trials=5)


def test_widening_limits_the_open_answers_of_a_node_with_few_visits() -> None:
    asked = policy(widening=1.0, chance=0)
    started = study(asked)

    def wide(trial: optuna.Trial) -> float:
        return trial.suggest_int("n", 0, 99) + trial.suggest_int("m", 0, 99)

    started.optimize(wide, n_trials=50)
    assert len(asked.root.children) == 7  # of 100: the root of 50


@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e6])
def test_the_scale_of_the_rewards_changes_nothing(scale: float) -> None:
    started = study(policy())
    started.optimize(lambda trial: scale * conditional(trial), n_trials=40)
    plain = study(policy())
    plain.optimize(conditional, n_trials=40)
    assert [t.params for t in started.trials] == [t.params for t in plain.trials]


def test_an_answer_that_was_good_elsewhere_is_tried_first() -> None:
    asked = policy(exploration=0.0, chance=0, best_share=0)
    for a, b, reward in ((0, 2, 1.0), (1, 1, 0.0), (2, 0, 0.1), (0, 1, 0.2), (1, 2, 0.9)):
        asked.learn((Decision("a", a, 4), Decision("b", b, 3)), reward)
    assert asked.choose((Decision("a", 3, 4),), "b", 3) == 2


def test_options_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="best_share must be between 0 and 1, not 2"):
        mcts(np.random.default_rng(0), best_share=2)
