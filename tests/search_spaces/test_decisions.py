"""Decisions: names, scopes, records, enumeration."""

import numpy as np
import optuna
import pytest

from search_spaces import genome
from search_spaces.decisions import (
    Decision,
    Decisions,
    InvalidArchitecture,
    Path,
    at_random,
    by_policy,
    enumerated,
    from_trial,
    replayed,
)
from search_spaces.options import Interval, Prior
from tests.toys import BelievedPerceptrons, Perceptrons


def test_enumeration_finds_every_architecture_once() -> None:
    found = [architecture for architecture, _ in genome.enumerate_space(Perceptrons())]
    assert len(found) == len(set(found)) == 3 + 9 + 27


def test_enumeration_skips_invalid_architectures() -> None:
    def decide(decisions: Decisions) -> int:
        value = decisions.integer("n", 0, 4) * 10 + decisions.choose("m", (1, 2))
        if value % 2:
            raise InvalidArchitecture("odd")
        return value

    assert [value for value, _ in enumerated(decide)] == [2, 12, 22, 32, 42]


def test_records_become_numbers_for_a_predictor() -> None:
    matrix, columns = genome.encode([{"n": 3, "op": "a"}, {"op": "b"}])
    rows = [dict(zip(columns, row, strict=True)) for row in matrix.tolist()]
    assert rows[0] == {"n?": 1, "n": 3, "op?": 1, "op=a": 1, "op=b": 0}
    assert rows[1] == {"n?": 0, "n": 0, "op?": 1, "op=a": 0, "op=b": 1}


def test_scopes_are_paths_and_names_are_unique() -> None:
    decisions = at_random(np.random.default_rng(0))
    decisions.scope("cell").scope("node").choose("op", ("a",))
    assert decisions.answers == {"cell/node/op": "a"}
    with pytest.raises(ValueError, match='"cell/node/op" is asked for twice'):
        decisions.scope("cell/node").choose("op", ("a",))


def test_a_policy_receives_the_path_so_far_wherever_there_is_a_choice() -> None:
    asked: list[tuple[Path, str, int]] = []

    def last(path: Path, name: str, options: int) -> int:
        asked.append((path, name, options))
        return options - 1

    decisions, path = by_policy(last)
    assert decisions.integer("settled", 5, 5) == 5
    assert decisions.scope("cell").choose("op", ("a", "b")) == "b"
    assert decisions.integer("n", 3, 9) == 9
    settled, op, n = Decision("settled", 0, 1), Decision("cell/op", 1, 2), Decision("n", 6, 7)
    assert path == [settled, op, n]
    assert asked == [((settled,), "cell/op", 2), ((settled, op), "n", 7)]


def test_every_way_to_answer_gives_a_real_number() -> None:
    def rate(decisions: Decisions) -> float:
        return decisions.scope("training").real("rate", 1e-4, 1e-1, log=True)

    rng = np.random.default_rng(0)
    drawn = np.log10([rate(at_random(rng)) for _ in range(500)])
    assert -4 <= drawn.min() < -3.9 and -1.1 < drawn.max() <= -1
    assert abs(np.mean(drawn) + 2.5) < 0.15
    every = [value for value, _ in enumerated(rate)]
    assert len(set(every)) == 64 and every == sorted(every)
    assert np.allclose(np.diff(np.log10(every)), 3 / 64)
    assert rate(replayed({"training/rate": 0.0123})) == 0.0123
    with pytest.raises(InvalidArchitecture, match=r"the options are the numbers from 0\.0001 to"):
        rate(replayed({"training/rate": 0.2}))
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    trial = study.ask()
    assert rate(from_trial(trial)) == trial.params["training/rate"]


def test_a_policy_answers_a_real_number_by_two_digits() -> None:
    asked: list[tuple[Path, str, int]] = []

    def third(path: Path, name: str, options: int) -> int:
        asked.append((path, name, options))
        return 3

    decisions, path = by_policy(third)
    value = decisions.real("rate", 0, 64)
    assert value == 3 * 8 + 3.5
    first = Decision("rate~1", 3, 8)
    assert asked == [((), "rate~1", 8), ((first,), "rate~2", 8)]
    assert path == [first, Decision("rate~2", 3, 8)]
    assert decisions.real("settled", 5, 5) == 5 and len(asked) == 2


def test_random_draws_prefer_the_prior_and_exclude_nothing() -> None:
    rng = np.random.default_rng(0)
    draws = [at_random(rng) for _ in range(400)]
    options = tuple("abcd")
    chosen = [d.choose("op", options, prior="c", strength=0.6) for d in draws]
    assert abs(chosen.count("c") / 400 - 0.7) < 0.07 and set(chosen) == set(options)
    numbers = [d.integer("n", 0, 100, prior=90) for d in draws]
    assert abs(np.mean(np.abs(np.array(numbers) - 90) <= 20) - 0.66) < 0.08
    assert min(numbers) < 10 and max(numbers) == 100
    rates = np.log10([d.real("rate", 1e-4, 1, log=True, prior=1e-1) for d in draws])
    assert abs(np.mean(np.abs(rates + 1) < 0.8) - 0.7) < 0.08


def test_a_prior_supports_likely_answers() -> None:
    options, interval = ("a", "b"), Interval(0, 1)
    assert Prior("a").support(options, "a") > 0 > Prior("a").support(options, "b")
    near, far = (Prior(0.5).support(interval, value) for value in (0.52, 0.9))
    assert near > 0 > far


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda d: d.choose("op", ("a",), prior="b"), "the prior 'b' is not one of"),
        (lambda d: d.real("rate", 0, 1, prior=2), "the prior 2 is not one of the numbers from 0"),
        (lambda d: d.integer("n", 0, 3, prior=1, strength=2), "strength of a prior is 0 to 1"),
        (lambda d: d.real("rate", 1, 0), "low must be at most high"),
        (lambda d: d.real("rate", 0, 1, log=True), "needs low above 0"),
        (lambda d: d.choose("a~1", ("a",)), 'leave "~" out'),
    ],
)
def test_a_wrong_question_is_refused(ask, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ask(at_random(np.random.default_rng(0)))


def test_mutation_changes_real_numbers() -> None:
    space = BelievedPerceptrons()
    _, mother = genome.sample(space, np.random.default_rng(0))
    rates = {genome.mutate(space, mother, np.random.default_rng(i))[1]["rate"] for i in range(20)}
    assert len(rates) > 3


def test_a_record_with_a_missing_answer_is_refused() -> None:
    with pytest.raises(InvalidArchitecture, match='"layers" is not in the record'):
        genome.decode(Perceptrons(), {})
    with pytest.raises(InvalidArchitecture, match='"layers" is 9 in the record'):
        replayed({"layers": 9}).integer("layers", 1, 3)
