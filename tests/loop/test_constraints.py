"""Constraints: how they are written, and what becomes of candidates that miss them."""

from dataclasses import replace

import numpy as np
import pytest

from nas.core.job import Objective
from nas.loop.candidate import Candidate, Rung
from nas.loop.constraints import Infeasible, read_constraint
from nas.loop.controller import PENALTY, Controller
from nas.loop.plan import Plan
from nas.loop.samplers import evolution, nsga_ii, tpe
from search_spaces.architecture import Architecture
from tests.toys import Perceptrons

SCREENED = Candidate(0, Architecture("toy", ()), 3000, 50, {"latency": 0.004, "score-1": 2.0})
PLAN = Plan(9, (1,), (9,), Objective("validation loss"))


@pytest.mark.parametrize(
    ("text", "excess"),
    [
        ("parameters<=2e3", 0.5),
        ("parameters >= 6000", 0.5),
        ("parameters<=3000", 0.0),
        ("latency<=2ms", 1.0),
        ("latency<=8000us", -0.5),
        ("score>=4", 0.5),
    ],
)
def test_an_excess_is_a_share_of_the_limit(text: str, excess: float) -> None:
    assert read_constraint(text).excess(SCREENED) == pytest.approx(excess)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("parameters<5", "write it as in parameters<=2e6"),
        ("parameters<=1e", "1e is not a number"),
        ("flops<=2ms", "only latency and step_latency have a unit"),
    ],
)
def test_a_bad_constraint_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_constraint(text)


def test_what_misses_a_constraint_has_a_value_before_it_trains() -> None:
    limited = replace(PLAN, constraints=(read_constraint("parameters<=2e3"),))
    assert PLAN.value(SCREENED) is None and not PLAN.has_value(SCREENED)
    assert limited.has_value(SCREENED)
    assert limited.value(SCREENED) == Infeasible({"parameters<=2e3": 0.5})
    assert limited.judgement(SCREENED) is None
    small = replace(SCREENED, parameters=100, rungs=(Rung(1, 2.0, 2.0, 2.0, None, 1.0, "a"),))
    assert limited.value(small) == 2.0
    assert limited.value(replace(SCREENED, failed="train: it broke")) is None


@pytest.mark.parametrize("maximise", [True, False])
@pytest.mark.parametrize("make", [tpe, evolution])
def test_the_infeasible_are_worse_than_the_feasible_and_ordered(make, maximise: bool) -> None:
    asked = Controller(make(np.random.default_rng(0)), maximise)
    given = [Infeasible({"a": 3.0}), 1e6 * (-1 if maximise else 1), Infeasible({"a": 0.1})]
    for value in given:
        asked.tell(asked.propose(Perceptrons()).token, value)
    trials = asked._study.get_trials()
    most, feasible, least = (trial.value * (-1 if maximise else 1) for trial in trials)
    assert 2 * PENALTY > most > least > PENALTY > feasible
    assert [trial.constraints for trial in trials] == [{"a": 3.0}, {}, {"a": 0.1}]


def test_optuna_takes_in_constraints_of_several_objectives() -> None:
    asked = Controller(nsga_ii(np.random.default_rng(0), population=6), False, objectives=2)
    last = []
    for _ in range(60):
        proposal = asked.propose(Perceptrons())
        layers = proposal.params["layers"]
        last.append(layers == 3)
        value = (1.0, 2.0) if layers == 3 else Infeasible({"layers": 3.0 - layers})
        asked.tell(proposal.token, value)
    assert sum(last[-20:]) > sum(last[:20])
