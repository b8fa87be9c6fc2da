"""The path sampler: what it passes from an Optuna study to a policy."""

from datetime import datetime, timedelta

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from policies.path_sampler import PathSampler
from search_spaces.decisions import Decision, Path


class Recorder:
    """Takes the last option and records every result."""

    def __init__(self) -> None:
        self.asked: list[tuple[tuple[str, ...], str, int]] = []
        self.heard: list[tuple[Path, float | None]] = []

    def choose(self, path: Path, name: str, options: int) -> int:
        self.asked.append((tuple(decision.name for decision in path), name, options))
        return options - 1

    def learn(self, path: Path, reward: float | None) -> None:
        self.heard.append((path, reward))


def study(policy: Recorder, direction: str = "maximize", **options) -> optuna.Study:
    return optuna.create_study(sampler=PathSampler(policy, seed=0), direction=direction, **options)


def objective(trial: optuna.Trial) -> float:
    op = trial.suggest_categorical("op", ("a", "b", "c"))
    size = trial.suggest_int("size", 2, 10, step=4)
    rate = trial.suggest_float("rate", 0, 1)
    assert (op, size) == ("c", 10)
    assert 63 / 64 <= rate <= 1
    assert trial.suggest_float("share", 0, 0.3, step=0.1) == pytest.approx(0.3)
    trial.suggest_int("one", 5, 5)
    trial.suggest_int("last", -1, 0)
    return 2.0


def test_a_policy_answers_categories_integers_and_the_digits_of_floats() -> None:
    policy = Recorder()
    study(policy).optimize(objective, n_trials=1)
    assert policy.asked == [
        ((), "op", 3),
        (("op",), "size", 3),
        (("op", "size"), "rate~1", 8),
        (("op", "size", "rate~1"), "rate~2", 8),
        (("op", "size", "rate~1", "rate~2"), "share", 4),
        (("op", "size", "rate~1", "rate~2", "share", "one"), "last", 2),
    ]
    path = (
        Decision("op", 2, 3),
        Decision("size", 2, 3),
        Decision("rate~1", 7, 8),
        Decision("rate~2", 7, 8),
        Decision("share", 3, 4),
        Decision("one", 0, 1),
        Decision("last", 1, 2),
    )
    assert policy.heard == [(path, 2.0)]


@pytest.mark.parametrize(("direction", "reward"), [("maximize", 2.0), ("minimize", -2.0)])
def test_a_higher_reward_is_better_in_either_direction(direction: str, reward: float) -> None:
    policy = Recorder()
    study(policy, direction).optimize(objective, n_trials=1)
    assert policy.heard[0][1] == reward


@pytest.mark.parametrize("state", [TrialState.FAIL, TrialState.PRUNED])
def test_a_trial_that_did_not_complete_has_no_reward(state: TrialState) -> None:
    policy = Recorder()
    asked = study(policy)
    trial = asked.ask()
    trial.suggest_int("n", 0, 1)
    trial.report(0.5, 1)
    asked.tell(trial, state=state)
    assert policy.heard == [((Decision("n", 1, 2),), None)]


def test_a_result_is_learnt_once() -> None:
    policy = Recorder()
    study(policy).optimize(objective, n_trials=5)
    assert len(policy.heard) == 5


def finished(n: int, minute: int) -> optuna.trial.FrozenTrial:
    trial = create_trial(
        params={"n": n, "op": "b"},
        distributions={"n": IntDistribution(0, 9), "op": CategoricalDistribution(("a", "b"))},
        value=float(n),
    )
    trial.datetime_complete = datetime(2020, 1, 1) + timedelta(minutes=minute)
    return trial


def test_earlier_trials_are_learnt_in_the_order_in_which_they_finished() -> None:
    policy = Recorder()
    resumed = study(policy)
    resumed.add_trials([finished(1, minute=3), finished(2, minute=1), finished(3, minute=2)])
    resumed.ask()
    resumed.ask()
    assert [reward for _, reward in policy.heard] == [2.0, 3.0, 1.0]
    assert policy.heard[0][0] == (Decision("n", 2, 10), Decision("op", 1, 2))


def test_a_new_sampler_learns_the_same_results_from_a_journal(tmp_path) -> None:
    backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / "journal"))
    first, second = Recorder(), Recorder()
    kept = {"storage": optuna.storages.JournalStorage(backend), "study_name": "s"}
    study(first, **kept).optimize(objective, n_trials=3)
    study(second, **kept, load_if_exists=True).ask()
    assert second.heard == first.heard
