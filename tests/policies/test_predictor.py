"""The predictor: what it learns, what it leaves out, and how certain it is."""

from itertools import product

import numpy as np
import optuna
import pytest

from policies.encoding import Answers, Encoding, answers_of, normal_scores
from policies.gaussian_process import GaussianProcess
from policies.path_sampler import PathSampler
from policies.predictor import Predictor
from search_spaces.decisions import Decision, Path

optuna.logging.set_verbosity(optuna.logging.WARNING)

NONE = np.zeros((3, 0))  # no scores


def path(*answers: int, options: int = 4) -> Path:
    return tuple(Decision(f"{i}", answer, options) for i, answer in enumerate(answers))


def worth(candidate: Path) -> float:
    return float(sum(decision.index for decision in candidate))


def known(asked: Predictor) -> set[Answers]:
    return {record for record, _ in asked.history}


def predictor(results: int = 0, seed: int = 0, **options: int) -> Predictor:
    """Return a predictor that has learnt `results` random candidates of four decisions."""
    made = Predictor(np.random.default_rng(seed), **options)
    rng = np.random.default_rng(seed)
    for _ in range(results):
        candidate = path(*rng.integers(4, size=4).tolist())
        made.learn(candidate, worth(candidate))
    return made


def proposed(asked: Predictor) -> Path:
    decided: Path = ()
    for i in range(4):
        decided = (*decided, Decision(f"{i}", asked.choose(decided, f"{i}", 4), 4))
    return decided


def test_a_process_is_certain_at_known_points_and_uncertain_elsewhere() -> None:
    process = GaussianProcess()
    process.noise = 1e-6
    x, y = np.eye(3) * 5, np.array([1.0, -2.0, 0.5])
    process.fit(x, NONE, y)
    assert process.mean(x, NONE) == pytest.approx(y, abs=1e-4)
    asked = np.array([[5.0, 0, 0], [0, 0, -50]])
    root = process.deviations(asked, NONE[:2])
    assert root @ root.T == pytest.approx(np.array([[0, 0], [0, 1]]), abs=1e-4)
    assert process.mean(asked, NONE[:2])[1] == pytest.approx(0, abs=1e-4)


def test_a_kernel_trusts_only_scores_that_predict_the_values() -> None:
    rng = np.random.default_rng(0)
    x, s = rng.integers(2, size=(30, 6)).astype(float), rng.standard_normal((30, 1))
    process = GaussianProcess()
    process.choose_kernel(x, s, s[:, 0])
    assert process.trust > 0
    process.choose_kernel(x, s, 3 * (x[:, 0] - x[:, 1]))
    assert process.trust == 0


def test_new_answers_add_columns() -> None:
    encode = Encoding()
    one, two, three = (answers_of(path(*answers)) for answers in ((1, 2), (1, 3), (0,)))
    assert encode([one, two]).tolist() == [[1, 1, 0], [1, 0, 1]]
    assert encode([three, one]).tolist() == [[0, 0, 0, 1], [1, 1, 0, 0]]


def test_values_count_by_their_ranks() -> None:
    assert normal_scores([1, 2, 3]) == pytest.approx(normal_scores([0, 5, 1e9]))
    assert normal_scores([7, 7, 7]) == pytest.approx([0, 0, 0])


def test_candidates_in_flight_are_not_proposed_again() -> None:
    asked = predictor(results=30)
    flying = [proposed(asked) for _ in range(25)]
    assert len(set(flying)) == 25
    assert not {answers_of(one) for one in flying} & known(asked)


def test_good_answers_are_proposed_and_failing_ones_are_not() -> None:
    asked = predictor(results=40)
    before = np.mean([reward for _, reward in asked.history if reward is not None])
    assert np.mean([worth(proposed(asked)) for _ in range(10)]) > before + 2
    failing = Predictor(np.random.default_rng(0))
    for answers in product((0, 3), repeat=4):
        failing.learn(path(*answers), None if answers[0] else worth(path(*answers)))
    assert np.mean([proposed(failing)[0].index for _ in range(10)]) < 2


def test_offered_scores_lead_to_the_best_candidate() -> None:
    """10 of 256 candidates are known; offered scores predict the rewards of the others."""
    everyone = [path(*answers) for answers in product(range(4), repeat=4)]
    rank = {c: i for i, c in enumerate(np.random.default_rng(1).permutation(256).tolist())}
    value = {candidate: float(rank[i]) for i, candidate in enumerate(everyone)}
    asked = Predictor(np.random.default_rng(0))
    for candidate in everyone:
        asked.offer(candidate, [value[candidate], -value[candidate]])
    asked.offer(everyone[0], [1.0])
    for candidate in everyone[::26]:
        asked.learn(candidate, value[candidate])
    assert np.mean([value[proposed(asked)] for _ in range(10)]) > 200


def test_the_best_and_the_latest_of_many_results_are_fitted() -> None:
    asked = predictor(results=200, memory=20)
    rewards = asked._remembered(asked.history)
    assert len(rewards) <= 20
    assert max(reward for _, reward in asked.history if reward is not None) in rewards.values()
    assert asked.history[-1][0] in rewards
    assert worth(proposed(asked)) > 6


def test_a_decision_that_is_only_sometimes_made_is_learnt() -> None:
    def objective(trial: optuna.Trial) -> float:
        if trial.suggest_categorical("deep", (False, True)):
            return 5.0 + trial.suggest_int("depth", 0, 9)
        return trial.suggest_int("width", 0, 9)

    sampler = PathSampler(Predictor(np.random.default_rng(0)))
    study = optuna.create_study(sampler=sampler, direction="maximize")
    study.optimize(objective, n_trials=40)
    assert study.best_value == 14


@pytest.mark.parametrize("options", [{"startup": 1}, {"pool": 0}, {"memory": 3}])
def test_invalid_options_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="startup must be at least 2"):
        predictor(**options)
