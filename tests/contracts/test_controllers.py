"""What every controller owes its users; a controller joins by its name in the registry."""

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from nas.core.registry import create_controller
from nas.loop.controller import Controller
from nas.loop.samplers import MULTI_OBJECTIVE
from search_spaces.rnn_cell.space import RnnCellSpace
from tests.toys import CONTROLLERS, Perceptrons

optuna.logging.set_verbosity(optuna.logging.WARNING)

EVERY_CONTROLLER = pytest.mark.parametrize("name", CONTROLLERS)
EVERY_POLICY = pytest.mark.parametrize(
    "name", [name for name in CONTROLLERS if name not in MULTI_OBJECTIVE]
)
EVERY_SPACE = pytest.mark.parametrize(
    "space", [Perceptrons(), RnnCellSpace()], ids=lambda s: s.name
)


def sampler(name: str, seed: int = 0) -> optuna.samplers.BaseSampler:
    return create_controller(name, np.random.default_rng(seed), {})


def objective(trial: optuna.Trial) -> float:
    """Conditional, with a float, a settled decision, and failures."""
    trial.suggest_int("settled", 3, 3)
    layers = trial.suggest_int("layers", 1, 3)
    total = sum(trial.suggest_categorical(f"{i}", (0, 1, 2)) for i in range(layers))
    rate = trial.suggest_float("rate", 0, 1)
    if total == 1:
        raise optuna.TrialPruned
    return total - rate


@EVERY_CONTROLLER
@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_it_serves_any_plain_optuna_study(name: str, direction: str) -> None:
    study = optuna.create_study(sampler=sampler(name), direction=direction)
    study.optimize(objective, n_trials=60)
    best = study.best_value
    assert best > 3 if direction == "maximize" else best < 0
    assert len({tuple(trial.params.items()) for trial in study.trials}) > 10


def proposals(name: str, seed: int, space, count: int = 24) -> list[str]:
    """Digests of what is proposed when every fifth fails and the others are told their length."""
    asked = Controller(sampler(name, seed), maximise=True)
    digests = []
    for i in range(count):
        proposal = asked.propose(space)
        digests.append(proposal.architecture.digest())
        asked.tell(proposal.token, None if i % 5 == 0 else float(len(proposal.architecture.spec)))
    return digests


@EVERY_SPACE
@EVERY_CONTROLLER
def test_the_same_seed_proposes_the_same(name: str, space) -> None:
    first = proposals(name, 0, space)
    assert len(set(first)) > 1
    assert first == proposals(name, 0, space)
    assert first != proposals(name, 1, space)


@EVERY_CONTROLLER
def test_it_goes_on_with_the_record_of_another(name: str) -> None:
    """Also with failures, and with candidates that are still being evaluated."""
    before = Controller(sampler(name), maximise=True)
    for i in range(30):
        proposal = before.propose(RnnCellSpace())
        if i % 6 != 5:
            before.tell(proposal.token, None if i % 6 == 4 else float(i))
    after = Controller(sampler(name, 1), maximise=True)
    for trial in before._study.trials:
        after.remember(trial, trial.value, evaluated=trial.state.is_finished())
    for _ in range(5):
        after.tell(after.propose(RnnCellSpace()).token, 1.0)
    states = [trial.state for trial in after._study.trials]
    assert states.count(TrialState.COMPLETE) >= 20 + 5
    assert states.count(TrialState.RUNNING) == 5


@EVERY_SPACE
@EVERY_POLICY
def test_its_state_comes_back_from_the_record(name: str, space) -> None:
    """With equal generators for what follows, the resumed one proposes what the first one does."""
    first, second = sampler(name), sampler(name)
    before, after = Controller(first, maximise=True), Controller(second, maximise=True)
    for i in range(37):
        proposal = before.propose(space)
        before.tell(proposal.token, None if i % 6 == 4 else float(i * 7 % 20))
    for trial in before._study.trials:
        after.remember(trial, trial.value, evaluated=True)
    proposed = []
    for controller, its in ((before, first), (after, second)):
        its.policy.rng = np.random.default_rng(5)  # pyright: ignore
        drawn = []
        for i in range(12):
            proposal = controller.propose(space)
            drawn.append(proposal.architecture)
            controller.tell(proposal.token, float(i))
        proposed.append(drawn)
    assert proposed[0] == proposed[1]


@EVERY_CONTROLLER
def test_what_it_hears_arrives_in_any_order(name: str) -> None:
    asked = Controller(sampler(name), maximise=False)
    waiting = [asked.propose(Perceptrons()) for _ in range(40)]
    for proposal in reversed(waiting):
        asked.tell(proposal.token, float(sum(proposal.architecture.spec)))
    assert asked.propose(Perceptrons()).token == 40


@EVERY_CONTROLLER
def test_it_follows_several_objectives_or_says_that_it_does_not(name: str) -> None:
    study = optuna.create_study(sampler=sampler(name), directions=["minimize", "maximize"])

    def both(trial: optuna.Trial) -> tuple[float, float]:
        width = trial.suggest_int("width", 1, 9)
        return float(trial.suggest_int("other", 1, 9) + width), float(width)

    if name in MULTI_OBJECTIVE:
        study.optimize(both, n_trials=50)
        assert len(study.best_trials) > 1
    else:
        with pytest.raises(ValueError, match="only one objective"):
            study.optimize(both, n_trials=1)
