"""Priors in a search: they open it, and results decide how long they count."""

import numpy as np
import pytest
from optuna.samplers import NSGAIISampler, RandomSampler

from nas.loop.controller import Controller
from nas.loop.samplers import evolution
from tests.toys import BelievedPerceptrons, Perceptrons


def controller(sampler=None, **options) -> Controller:
    return Controller(sampler or RandomSampler(seed=0), maximise=False, **options)


def test_the_first_proposal_gives_the_answers_of_the_priors() -> None:
    asked = controller()
    first, second = (asked.propose(BelievedPerceptrons()) for _ in range(2))
    assert first.architecture.spec == (3e-3, 8, 8)
    assert second.architecture != first.architecture


@pytest.mark.parametrize(("sign", "low", "high"), [(1, 0.3, 0.7), (-1, 0.0, 0.2)])
def test_trust_follows_the_results(sign: int, low: float, high: float) -> None:
    asked = controller()
    assert asked._priors.trust() == 0
    for _ in range(20):
        proposal = asked.propose(BelievedPerceptrons())
        _, *widths = proposal.architecture.spec
        asked.tell(proposal.token, sign * float(np.mean([width != 8 for width in widths])))
    assert low <= asked._priors.trust() <= high


def test_a_failure_counts_against_the_priors() -> None:
    asked = controller()
    for _ in range(20):
        proposal = asked.propose(BelievedPerceptrons())
        is_far = abs(np.log10(proposal.params["rate"] / 3e-3)) > 0.5
        asked.tell(proposal.token, 1.0 if is_far else None)
    assert asked._priors.trust() < 0.2


def test_a_space_without_priors_is_left_to_the_sampler() -> None:
    asked, again = controller(), RandomSampler(seed=0)
    drawn = [asked.propose(Perceptrons()).params for _ in range(10)]
    plain = controller(again)
    plain._study.sampler = again
    assert drawn == [plain.propose(Perceptrons()).params for _ in range(10)]


def test_the_trust_of_a_resumed_run_is_that_of_the_run() -> None:
    for make in (evolution, lambda rng: RandomSampler(seed=1)):
        before, after = (controller(make(np.random.default_rng(0))) for _ in range(2))
        for i in range(15):
            proposal = before.propose(BelievedPerceptrons())
            before.tell(proposal.token, None if i == 3 else float(i % 4))
        for trial in before._study.get_trials():
            after.remember(trial, trial.value, evaluated=True)
        after.propose(BelievedPerceptrons())
        assert after._priors.trust() == pytest.approx(before._priors.trust())


def test_a_population_counts_proposals_that_follow_priors() -> None:
    asked = controller(NSGAIISampler(seed=0, population_size=5), objectives=2)
    for i in range(12):
        asked.tell(asked.propose(BelievedPerceptrons()).token, (float(i), -float(i)))
    attributes = [trial.system_attrs for trial in asked._study.get_trials()]
    assert all(any(key.endswith("generation") for key in known) for known in attributes)
