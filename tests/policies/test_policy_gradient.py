"""Policy gradients as a sampler: they learn, resume from a record and transfer to other spaces."""

import numpy as np
import optuna
import pytest
import torch

from nas.core.errors import BadInput
from nas.loop.policy_file import load_policy, save_policy
from nas.loop.samplers import policy_gradient
from policies.decision_lstm import DecisionLstm
from policies.path_sampler import PathSampler, path_of
from policies.policy_gradient import PolicyGradient
from search_spaces.decisions import Decision

optuna.logging.set_verbosity(optuna.logging.WARNING)


def policy(seed: int = 0, **options) -> PolicyGradient:
    return PolicyGradient(np.random.default_rng(seed), **options)


def study(asked: PolicyGradient) -> optuna.Study:
    return optuna.create_study(sampler=PathSampler(asked), direction="maximize")


def objective(trial: optuna.Trial) -> float:
    trial.suggest_int("settled", 2, 2)
    layers = trial.suggest_int("layers", 1, 6)
    return sum(trial.suggest_categorical(f"{i}", (0, 1, 2, 3)) for i in range(layers)) / 18


def mean_reward(asked: PolicyGradient, trials: int) -> float:
    """Return the mean reward of the last third of the trials."""
    started = study(asked)
    started.optimize(objective, n_trials=trials)
    return float(np.mean([trial.value for trial in started.trials[-trials // 3 :]]))


@pytest.mark.parametrize("method", ["ppo", "reinforce"])
@pytest.mark.parametrize("baseline", ["leave-one-out", "moving"])
def test_its_proposals_become_better(method, baseline) -> None:
    ours = np.mean(
        [mean_reward(policy(s, method=method, baseline=baseline), 150) for s in range(3)]
    )
    assert ours > 0.29 + 0.15  # 3.5 layers of 1.5 on average


def test_an_answer_that_depends_on_the_first_decision_is_learnt() -> None:
    """The second answer must equal the first; both values are equally good."""
    asked = study(policy(entropy=0.02))

    def equal(trial: optuna.Trial) -> float:
        return float(trial.suggest_int("a", 0, 1) == trial.suggest_int("b", 0, 1))

    asked.optimize(equal, n_trials=400)
    assert np.mean([trial.value for trial in asked.trials[-50:]]) > 0.8


def test_the_same_record_gives_the_same_weights() -> None:
    first = study(policy())
    first.optimize(objective, n_trials=34)
    again = policy()
    resumed = optuna.create_study(sampler=PathSampler(again), direction="maximize")
    resumed.add_trials(first.trials)
    resumed.ask()
    weights = first.sampler.policy.network.state_dict()
    assert all(torch.equal(weights[n], w) for n, w in again.network.state_dict().items())
    assert (again.batch, again.rewards) == (
        first.sampler.policy.batch,
        first.sampler.policy.rewards,
    )


def paths(count: int = 5):
    started = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
    started.optimize(objective, n_trials=count)
    return [tuple(d for d in path_of(t) if d.options > 1) for t in started.trials]


def test_stepping_agrees_with_the_network_on_whole_paths() -> None:
    network = DecisionLstm(torch.Generator().manual_seed(0))
    log_p, entropies = network(paths())
    for b, path in enumerate(paths()):
        state = network.start()
        for t, decision in enumerate(path):
            before = path[t - 1] if t else None
            p, state = network.step(state, before, decision.name, decision.options)
            assert np.log(p[decision.index]) == pytest.approx(log_p[b, t].item(), abs=1e-4)
            entropy = -(p * np.log(p)).sum() / np.log(decision.options)
            assert entropy == pytest.approx(entropies[b, t].item(), abs=1e-4)
        assert not log_p[b, len(path) :].any() and not entropies[b, len(path) :].any()


def test_a_decision_with_one_option_does_not_enter_the_loss() -> None:
    network = DecisionLstm(torch.Generator().manual_seed(0))
    chosen, entropies = network([(Decision("one", 0, 1), Decision("two", 1, 2))])
    assert chosen[0, 0] == 0 and entropies[0, 0] == 0
    assert chosen[0, 1] < 0


def test_a_failure_makes_its_answers_less_likely() -> None:
    asked = policy(batch=4, entropy=0.0)
    paths = [(Decision("n", i % 2, 2),) for i in range(4)]
    before = asked.network(paths)[0].detach()
    for path in paths:
        asked.learn(path, None if path[0].index else 1.0)
    after = asked.network(paths)[0].detach()
    assert (after[::2] > before[::2]).all() and (after[1::2] < before[1::2]).all()


def test_a_saved_policy_knows_another_space_with_the_same_names(tmp_path) -> None:
    taught = policy()
    study(taught).optimize(objective, n_trials=200)
    save_policy(taught, tmp_path / "policy.safetensors")
    fresh = policy(1)
    load_policy(fresh, tmp_path / "policy.safetensors")

    def other(trial: optuna.Trial) -> float:
        """A space with more layers and one decision that the first lacks."""
        trial.suggest_categorical("width", (16, 32))
        layers = trial.suggest_int("layers", 1, 6)
        return sum(trial.suggest_categorical(f"{i}", (0, 1, 2, 3)) for i in range(layers)) / 18

    def first_ten(asked: PolicyGradient) -> float:
        started = study(asked)
        started.optimize(other, n_trials=10)
        return float(np.mean([trial.value for trial in started.trials]))

    assert first_ten(fresh) > np.mean([first_ten(policy(seed)) for seed in range(5)]) + 0.1
    started = policy_gradient(np.random.default_rng(0), start=tmp_path / "policy.safetensors")
    weights = started.policy.network.state_dict()
    assert torch.equal(weights["bias"], taught.network.state_dict()["bias"])


def test_a_file_without_a_policy_is_refused(tmp_path) -> None:
    (tmp_path / "text").write_text("no weights")
    for name, said in (("text", "is not a policy of this controller"), ("none", "does not exist")):
        with pytest.raises(BadInput, match=f"{name} {said}"):
            load_policy(policy(), tmp_path / name)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"method": "dqn"}, "unknown method dqn"), ({"batch": 1}, "batch must be at least 2")],
)
def test_invalid_options_are_refused(options, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        policy(**options)
