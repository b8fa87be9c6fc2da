"""N2N's policies: they read layers, learn, resume from a record and transfer between teachers."""

from collections.abc import Callable
from functools import cache

import numpy as np
import optuna
import pytest
import torch

from compress.structure.outline import outline_of
from nas.core.errors import BadInput
from nas.core.registry import create, create_controller
from nas.loop.controller import Controller
from nas.loop.policy_file import load_policy, policy_of, save_policy
from nas.loop.samplers import n2n
from policies.layer_lstms import LayerLstms
from policies.path_sampler import path_of
from search_spaces.architecture import Architecture
from search_spaces.decisions import Decision, Path
from search_spaces.layer_removal.space import LayerRemovalSpace, student_of

optuna.logging.set_verbosity(optuna.logging.WARNING)


@cache
def space(teacher: str = "resnet8", narrowest: int = 1) -> LayerRemovalSpace:
    def refuse(*_: object):
        raise AssertionError("a student was built")

    outline = outline_of(create("models", teacher), torch.zeros(2, 3, 32, 32))
    return LayerRemovalSpace(outline, refuse, narrowest)


def controller(seed: int = 0, teacher: str = "resnet8", **options) -> Controller:
    asked = space(teacher, options.pop("narrowest", 1))
    sampler = n2n(np.random.default_rng(seed), space=asked, **options)
    return Controller(sampler, maximise=True)


def kept(architecture: Architecture) -> float:
    """Return a reward for blocks that stay and channels that go, each at most a half."""
    removed, widths = student_of(architecture)
    outline = space("resnet20").outline
    total = sum(channels.width for channels in outline.channels)
    blocks, left = len(outline.removable), sum(width for _, width in widths)
    return 0.5 * (1 - len(removed) / blocks) + 0.5 * (1 - left / total)


def rewards(asked: Controller, of: LayerRemovalSpace, count: int) -> list[float]:
    received = []
    for _ in range(count):
        proposal = asked.propose(of)
        received.append(kept(proposal.architecture))
        asked.tell(proposal.token, received[-1])
    return received


def paths(asked: Controller) -> list[Path]:
    return [path_of(trial) for trial in asked._study.trials]


def network(asked: Controller) -> LayerLstms:
    found = policy_of(asked.sampler, "n2n").network
    assert isinstance(found, LayerLstms)
    return found


def test_every_parameter_of_both_policies_has_a_gradient() -> None:
    asked = controller(batch=2)
    for reward in (1.0, 0.0):
        asked.tell(asked.propose(space()).token, reward)
    for name, parameter in network(asked).named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_two_rollouts_with_different_rewards_have_different_advantages() -> None:
    policy = policy_of(controller(batch=3).sampler, "n2n")
    for reward in (0.1, 0.9):
        policy.learn((Decision("remove/layer1.0", 0, 2),), reward)
    first, second = policy._advantages().tolist()
    assert first < second


def test_stepping_agrees_with_the_network_on_whole_paths() -> None:
    asked = controller(narrowest=4)
    drawn = [asked.propose(space(narrowest=4)) for _ in range(4)]
    assert len({len(proposal.params) for proposal in drawn}) > 1
    log_p, entropies = network(asked)(paths(asked))
    for b, path in enumerate(paths(asked)):
        state, before = network(asked).start(), None
        for t, decision in enumerate(path):
            p, state = network(asked).step(state, before, decision.name, decision.options)
            assert len(p) == decision.options
            assert np.log(p[decision.index]) == pytest.approx(log_p[b, t].item(), abs=1e-4)
            entropy = -(p * np.log(p)).sum() / np.log(decision.options)
            assert entropy == pytest.approx(entropies[b, t].item(), abs=1e-4)
            before = decision
        assert not log_p[b, len(path) :].any() and not entropies[b, len(path) :].any()


def test_decisions_with_one_option_do_not_enter_the_loss() -> None:
    free, forced = Decision("remove/layer1.0", 1, 2), Decision("width/conv1", 0, 1)
    log_p, entropies = network(controller())([(free, forced)])
    assert log_p[0, 0] < 0 and entropies[0, 0] > 0
    assert log_p[0, 1] == 0 and entropies[0, 1] == 0
    widthless = controller(narrowest=10)
    widthless.tell(widthless.propose(space(narrowest=10)).token, 1.0)
    assert {d.name for d in paths(widthless)[0]} <= {"remove/layer1.0", *SETTLED}


SETTLED = [f"width/{c.makers[0]}" for c in space().outline.channels]


def test_removals_are_independent_and_a_width_depends_on_the_widths_before() -> None:
    log_p = network(controller())
    stay, go = (Decision("remove/layer1.0", i, 2) for i in (0, 1))
    narrow, wide = (Decision("width/conv1", i, 10) for i in (0, 9))
    inner = Decision("width/layer2.0.conv1", 4, 10)
    answered, _ = log_p([(stay, narrow, inner), (stay, wide, inner), (go, wide, inner)])
    assert answered[0, 0] == answered[1, 0]
    assert answered[0, 2] != answered[1, 2]
    assert answered[1, 1:].tolist() == answered[2, 1:].tolist()


def test_it_resumes_from_a_record_with_the_same_proposals() -> None:
    before, after = controller(), controller()
    rewards(before, space(), 13)
    for trial in before._study.trials:
        after.remember(trial, trial.value, evaluated=True)
    proposed = []
    for asked in (before, after):
        policy_of(asked.sampler, "n2n").rng = np.random.default_rng(5)
        proposed.append([asked.propose(space()).architecture for _ in range(3)])
    assert proposed[0] == proposed[1]
    weights = [network(asked).state_dict() for asked in (before, after)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_its_students_become_better_than_random_ones() -> None:
    of = space("resnet20")

    def last(asked: Callable[[int], Controller]) -> float:
        return float(np.mean([rewards(asked(seed), of, 100)[-25:] for seed in range(2)]))

    def at_random(seed: int) -> Controller:
        return Controller(create_controller("random", np.random.default_rng(seed), {}), True)

    assert last(lambda seed: controller(seed, "resnet20")) > last(at_random) + 0.15


def test_a_policy_trained_on_one_teacher_helps_with_a_larger_one(tmp_path) -> None:
    taught, file = controller(teacher="resnet20"), tmp_path / "policy.safetensors"
    rewards(taught, space("resnet20"), 100)
    save_policy(policy_of(taught.sampler, "n2n"), file)

    def first(asked: Controller) -> float:
        drawn = [student_of(asked.propose(space("resnet32")).architecture) for _ in range(5)]
        return float(np.mean([len(student.removed) for student in drawn]))

    started = controller(1, "resnet32")
    load_policy(policy_of(started.sampler, "n2n"), file)
    weights = network(started).state_dict()
    assert all(torch.equal(weights[n], w) for n, w in network(taught).state_dict().items())
    assert first(started) < first(controller(1, "resnet32")) - 3


def test_the_policy_of_another_controller_is_refused(tmp_path) -> None:
    other = create_controller("policy-gradient", np.random.default_rng(0), {})
    save_policy(policy_of(other, "policy-gradient"), tmp_path / "other")
    with pytest.raises(BadInput, match="other is not a policy"):
        load_policy(policy_of(controller().sampler, "n2n"), tmp_path / "other")


def test_without_a_teacher_it_is_refused_with_one_line() -> None:
    with pytest.raises(BadInput, match="use it with nas compress"):
        create_controller("n2n", np.random.default_rng(0), {})
