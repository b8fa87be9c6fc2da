"""The contract of controllers, tested for every controller in the registry."""

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
    """Return the value of a trial with conditional, float and fixed decisions, and failures."""
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
    """Return digests of proposals; every fifth fails, the others get their length as value."""
    asked = Controller(sampler(name, seed), maximise=True)
    digests = []
    for i in range(count):
        proposal = asked.propose(space)
        digests.append(proposal.architecture.digest())
        asked.tell(proposal.token, None if i % 5 == 0 else float(len(proposal.architecture.spec)))
    return digests


@EVERY_SPACE
@EVERY_CONTROLLER
def test_the_same_seed_gives_the_same_proposals(name: str, space) -> None:
    first = proposals(name, 0, space)
    assert len(set(first)) > 1
    assert first == proposals(name, 0, space)
    assert first != proposals(name, 1, space)


@EVERY_CONTROLLER
def test_it_continues_from_another_controllers_record(name: str) -> None:
    """The record includes failures and candidates that are still being evaluated."""
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
def test_the_record_restores_its_state(name: str, space) -> None:
    """With the same generator, the resumed controller makes the same proposals."""
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
def test_values_can_arrive_in_any_order(name: str) -> None:
    asked = Controller(sampler(name), maximise=False)
    waiting = [asked.propose(Perceptrons()) for _ in range(40)]
    for proposal in reversed(waiting):
        asked.tell(proposal.token, float(sum(proposal.architecture.spec)))
    assert asked.propose(Perceptrons()).token == 40


@EVERY_CONTROLLER
def test_it_supports_several_objectives_or_refuses_them(name: str) -> None:
    study = optuna.create_study(sampler=sampler(name), directions=["minimize", "maximize"])

    def both(trial: optuna.Trial) -> tuple[float, float]:
        width = trial.suggest_int("width", 1, 9)
        return float(trial.suggest_int("other", 1, 9) + width), float(width)

    if name in MULTI_OBJECTIVE:
        study.optimize(both, n_trials=50)
        assert len(study.best_trials) > 1
    else:
        with pytest.raises(ValueError, match="supports only one objective"):
            study.optimize(both, n_trials=1)
