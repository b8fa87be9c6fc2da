"""The controller's own study: what it is asked for and what it hears."""

import pytest
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler
from optuna.trial import TrialState

from nas.core.errors import BadInput
from nas.loop.controller import Controller
from search_spaces.architecture import Architecture
from search_spaces.decisions import Decisions, InvalidArchitecture
from tests.toys import Perceptrons


def controller(maximise: bool = True, sampler: BaseSampler | None = None) -> Controller:
    return Controller(sampler or RandomSampler(seed=0), maximise)


def heard(asked: Controller) -> list[tuple[TrialState, float | None]]:
    return [(trial.state, trial.value) for trial in asked._study.trials]


def test_a_proposal_holds_the_decisions_that_lead_to_its_architecture() -> None:
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


def test_what_the_space_refuses_is_heard_of_as_failed() -> None:
    asked = controller()
    specs = {asked.propose(Even()).architecture.spec for _ in range(40)}
    assert specs == {0, 2, 4, 6, 8}
    failed = [t.params["n"] for t in asked._study.trials if t.state == TrialState.FAIL]
    assert {n % 2 for n in failed} == {1}


def test_a_space_that_refuses_everything_ends_the_search_with_its_reason(monkeypatch) -> None:
    monkeypatch.setattr("nas.loop.controller.MOST_REJECTIONS", 20)
    with pytest.raises(BadInput, match=r"20 proposals in a row were invalid: there is nothing"):
        controller().propose(Nothing())


@pytest.mark.parametrize("maximise", [True, False])
def test_values_and_failures_reach_the_sampler(maximise: bool) -> None:
    asked = controller(maximise)
    tokens = [asked.propose(Perceptrons()).token for _ in range(3)]
    asked.tell(tokens[2], 0.5)
    asked.tell(tokens[0], None)
    assert heard(asked) == [
        (TrialState.FAIL, None),
        (TrialState.RUNNING, None),
        (TrialState.COMPLETE, 0.5),
    ]
    assert asked._study.direction.name == ("MAXIMIZE" if maximise else "MINIMIZE")


def test_a_late_failure_is_one_more_trial_with_the_same_decisions() -> None:
    asked = controller()
    proposal = asked.propose(Perceptrons())
    asked.tell(proposal.token, 0.5)
    asked.tell_late_failure(asked._study.trials[0])
    first, second = asked._study.trials
    assert (second.state, second.params) == (TrialState.FAIL, first.params)
    assert asked.propose(Perceptrons()).token == 2


def test_a_remembered_candidate_without_a_result_can_be_told_later() -> None:
    first, again = controller(), controller()
    first.propose(Perceptrons())
    token = again.remember(first._study.trials[0], None, evaluated=False)
    assert heard(again) == [(TrialState.RUNNING, None)]
    again.tell(token, 0.7)
    assert heard(again) == [(TrialState.COMPLETE, 0.7)]


def test_remembered_candidates_are_a_population() -> None:
    """As if the sampler had proposed them: NSGA-II leaves out trials that are only added."""
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


def test_several_objectives_are_told_together() -> None:
    asked = Controller(RandomSampler(seed=0), maximise=False, objectives=2)
    tokens = [asked.propose(Perceptrons()).token for _ in range(2)]
    asked.tell(tokens[0], (0.5, 3.0))
    asked.tell(tokens[1], None)
    told = [trial.values for trial in asked._study.trials]
    assert told == [[0.5, 3.0], None]
    assert [d.name for d in asked._study.directions] == ["MINIMIZE"] * 2
