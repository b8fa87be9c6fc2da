"""The controller's in-memory study: its proposals and the values it receives."""

import numpy as np
import pytest
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler
from optuna.trial import TrialState

from nas.core.errors import BadInput
from nas.core.registry import create_controller
from nas.loop.controller import Controller
from search_spaces.architecture import Architecture
from search_spaces.decisions import Decisions, InvalidArchitecture
from tests.toys import Perceptrons


def controller(maximise: bool = True, sampler: BaseSampler | None = None) -> Controller:
    return Controller(sampler or RandomSampler(seed=0), maximise)


def values_of(tested: Controller) -> list[tuple[TrialState, float | None]]:
    return [(trial.state, trial.value) for trial in tested._study.trials]


def test_a_proposal_has_the_decisions_that_lead_to_its_architecture() -> None:
    proposal = controller().propose(Perceptrons())
    layers = proposal.params["layers"]
    assert proposal.architecture.spec == tuple(
        proposal.params[f"layer_{i}/width"] for i in range(layers)
    )
    assert set(proposal.distributions) == set(proposal.params)


class Even(Perceptrons):
    def decide(self, decisions: Decisions) -> Architecture:
        n = decisions.integer("n", 0, 9)
        if n % 2:
            raise InvalidArchitecture(f"{n} is odd")
        return Architecture(self.name, n)


class Nothing(Perceptrons):
    def decide(self, decisions: Decisions) -> Architecture:
        raise InvalidArchitecture("there is nothing here")


def test_refused_proposals_are_reported_as_failed() -> None:
    tested = controller()
    specs = {tested.propose(Even()).architecture.spec for _ in range(40)}
    assert specs == {0, 2, 4, 6, 8}
    failed = [t.params["n"] for t in tested._study.trials if t.state == TrialState.FAIL]
    assert {n % 2 for n in failed} == {1}


def test_a_space_that_refuses_everything_ends_the_search_with_its_reason(monkeypatch) -> None:
    monkeypatch.setattr("nas.loop.controller.MOST_REJECTIONS", 20)
    with pytest.raises(
        BadInput, match=r"refused 20 proposals in a row; the last reason: there is nothing"
    ):
        controller().propose(Nothing())


@pytest.mark.parametrize("maximise", [True, False])
def test_values_and_failures_reach_the_sampler(maximise: bool) -> None:
    tested = controller(maximise)
    tokens = [tested.propose(Perceptrons()).token for _ in range(3)]
    tested.tell(tokens[2], 0.5)
    tested.tell(tokens[0], None)
    assert values_of(tested) == [
        (TrialState.FAIL, None),
        (TrialState.RUNNING, None),
        (TrialState.COMPLETE, 0.5),
    ]
    assert tested._study.direction.name == ("MAXIMIZE" if maximise else "MINIMIZE")


def test_a_late_failure_is_another_trial_with_the_same_decisions() -> None:
    tested = controller()
    proposal = tested.propose(Perceptrons())
    tested.tell(proposal.token, 0.5)
    tested.tell_late_failure(tested._study.trials[0])
    first, second = tested._study.trials
    assert (second.state, second.params) == (TrialState.FAIL, first.params)
    assert tested.propose(Perceptrons()).token == 2


def test_a_remembered_candidate_can_get_its_value_later() -> None:
    first, again = controller(), controller()
    first.propose(Perceptrons())
    token = again.remember(first._study.trials[0], None, evaluated=False)
    assert values_of(again) == [(TrialState.RUNNING, None)]
    again.tell(token, 0.7)
    assert values_of(again) == [(TrialState.COMPLETE, 0.7)]


def test_remembered_candidates_form_a_population() -> None:
    """NSGA-II counts them as its own proposals; it would ignore trials that are only added."""
    first = controller()
    for i in range(6):
        first.tell(first.propose(Perceptrons()).token, float(i))
    again = controller(sampler=NSGAIISampler(seed=0, population_size=6))
    for trial in first._study.trials:
        again.remember(trial, trial.value, evaluated=True)
    generations = [
        next(v for k, v in trial.system_attrs.items() if k.endswith("generation"))
        for trial in again._study.trials
    ]
    assert generations == [0] * 6
    again.propose(Perceptrons())
    assert again._study.trials[-1].system_attrs["NSGAIISampler:generation"] == 1


def test_the_values_of_several_objectives_arrive_together() -> None:
    tested = Controller(RandomSampler(seed=0), maximise=False, objectives=2)
    tokens = [tested.propose(Perceptrons()).token for _ in range(2)]
    tested.tell(tokens[0], (0.5, 3.0))
    tested.tell(tokens[1], None)
    values = [trial.values for trial in tested._study.trials]
    assert values == [[0.5, 3.0], None]
    assert [d.name for d in tested._study.directions] == ["MINIMIZE"] * 2


def test_a_predictor_that_resumes_knows_all_objectives() -> None:
    """A resumed run tells recorded candidates to the policy itself, not to the study."""
    first, again = (
        Controller(create_controller("predictor", rng(), {}), maximise=False, objectives=2)
        for rng in (lambda: np.random.default_rng(0), lambda: np.random.default_rng(0))
    )
    for i in range(10):
        first.tell(first.propose(Perceptrons()).token, (float(i), 10.0 - i))
    for trial in first._study.trials:
        again.remember(trial, tuple(trial.values), evaluated=True)
    assert [r for _, r in again.sampler.policy.history] == [(-i, i - 10.0) for i in range(10)]  # type: ignore[attr-defined]
    again.propose(Perceptrons())  # fits what it remembers
