"""The predictor: what it learns, what it leaves out, and how certain it is."""

from itertools import product

import numpy as np
import optuna
import pytest

from policies.encoding import Answers, Encoding, answers_of, normal_scores
from policies.gaussian_process import GaussianProcess, Kernel
from policies.path_sampler import PathSampler
from policies.pool import candidates_near, neighbours
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
    process.kernel = process.kernel._replace(noise=1e-6)
    x, y = np.eye(3) * 5, np.array([1.0, -2.0, 0.5])
    process.fit(x, NONE, y)
    assert process.predict(x, NONE)[0] == pytest.approx(y, abs=1e-4)
    means, deviations = process.predict(np.array([[5.0, 0, 0], [0, 0, -50]]), NONE[:2])
    assert deviations == pytest.approx([0, 1], abs=2e-3)
    assert means[1] == pytest.approx(0, abs=1e-4)


def test_the_deviation_of_a_value_includes_its_noise() -> None:
    process = GaussianProcess()
    process.kernel = process.kernel._replace(noise=0.3)
    process.fit(np.eye(3) * 5, NONE, np.zeros(3))
    _, deviations = process.predict(np.array([[0.0, 0, -50]]), NONE[:1])
    assert deviations == pytest.approx([1.3**0.5])


def test_unseen_features_are_0_at_the_training_points() -> None:
    process = GaussianProcess()
    process.fit(np.eye(2), NONE[:2], np.array([1.0, -1.0]))
    wide = np.array([[1.0, 0, 0], [1.0, 0, 1]])
    means, deviations = process.predict(wide, NONE[:2])
    assert means[0] > means[1] and deviations[0] < deviations[1]


def test_kernels_are_drawn_by_their_likelihood() -> None:
    rng = np.random.default_rng(0)
    x, s = rng.integers(2, size=(30, 6)).astype(float), rng.standard_normal((30, 1))
    process = GaussianProcess()

    def trusts(values: np.ndarray) -> set[float]:
        process.weigh_kernels(x, s, values)
        drawn = []
        for _ in range(20):
            process.draw_kernel(rng)
            drawn.append(process.kernel.trust)
        return set(drawn)

    assert 0 not in trusts(s[:, 0])  # the score is the value
    assert 0 in trusts(3 * (x[:, 0] - x[:, 1]))  # the score says nothing


def test_the_prior_variance_of_a_kernel_is_its_diagonal() -> None:
    rng = np.random.default_rng(0)
    x, s = rng.integers(2, size=(9, 6)).astype(float), rng.standard_normal((9, 2))
    kernel = Kernel(2.0, 0.5, 3.0, 0.3, 0.1)
    assert kernel.variances(x, s) == pytest.approx(kernel(x, s, x, s).diagonal())


def test_neighbours_differ_in_one_answer_and_the_rest_of_the_pool_is_new() -> None:
    record = answers_of(path(0, 1, 2))
    near = neighbours(record)
    assert len(set(near)) == 3 * 3
    assert all(sum(a != b for a, b in zip(record, other, strict=True)) == 1 for other in near)
    known = {record, *near[:-1]}
    drawn = candidates_near([record, near[0]], known, 40, np.random.default_rng(0))
    assert len(drawn) == len(set(drawn)) > 20
    assert not known & set(drawn)
    assert near[-1] in drawn  # the last neighbour of the best
    assert set(neighbours(near[0])) - known <= set(drawn)  # room for those of the next


def test_a_climb_without_a_better_result_ends_and_the_next_begins_at_random() -> None:
    asked = Predictor(np.random.default_rng(0), startup=3, patience=6)
    everyone = [path(*answers) for answers in product(range(4), repeat=2)]
    for i, candidate in enumerate(everyone):
        asked.learn(candidate, float(-i))
    assert [reward for _, reward in asked._climb(asked.history[:7])] == []
    assert [reward for _, reward in asked._climb(asked.history[:9])] == [-7.0, -8.0]
    assert len(asked._climb(asked.history)) == 16 - 14


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


def test_half_the_fits_of_later_climbs_leave_out_the_results_of_earlier_ones() -> None:
    asked = predictor(patience=3, startup=2)
    for i in range(7):
        asked.learn(path(i, 0, 0, 0, options=7), float(i == 0))
    rng = np.random.default_rng(0)
    later = asked.scalarised(asked.history, np.random.default_rng(0))
    assert {asked._learnt(later[:3], rng)[0] for _ in range(20)} == {0}
    firsts = {
        start: len(learnt) for start, learnt in (asked._learnt(later, rng) for _ in range(20))
    }
    assert firsts == {0: 7, 4: 3}
