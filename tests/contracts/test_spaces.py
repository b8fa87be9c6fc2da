"""The contract of search spaces, tested for every space in `SPACES`."""

import numpy as np
import optuna
import pytest
import torch

from nas.core.registry import BUILT_IN, create
from search_spaces import genome
from search_spaces.architecture import Architecture
from search_spaces.decisions import InvalidArchitecture, from_trial
from search_spaces.space import DataShape, ModelShape, ModelSize, SearchSpace
from tests.toys import Perceptrons, chains_of_a_stack, students_of_a_gru

SPACES = [
    *(create("spaces", name) for name in BUILT_IN["spaces"] if name != "layer-chain"),
    Perceptrons(),
    students_of_a_gru(),
    chains_of_a_stack(),
]
EVERY_SPACE = pytest.mark.parametrize("space", SPACES, ids=lambda space: space.name)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@EVERY_SPACE
def test_its_architectures_have_its_name(space) -> None:
    assert isinstance(space, SearchSpace)
    assert genome.sample(space, rng())[0].space == space.name


@EVERY_SPACE
def test_the_same_decisions_give_the_same_architecture(space) -> None:
    for seed in range(20):
        architecture, answers = genome.sample(space, rng(seed))
        assert genome.decode(space, answers) == architecture
        assert Architecture.from_json(architecture.to_json()) == architecture
        assert Architecture.from_json(architecture.to_json()).digest() == architecture.digest()


@EVERY_SPACE
def test_a_mutant_differs_from_its_parent_in_one_decision(space) -> None:
    for seed in range(20):
        _, parent = genome.sample(space, rng(seed))
        _, child = genome.mutate(space, parent, rng(seed))
        changed = [name for name in parent if name in child and parent[name] != child[name]]
        first = next(name for name in parent if parent[name] != child.get(name))
        assert first == changed[0]
        before = list(parent)[: list(parent).index(first)]
        assert all(child[name] == parent[name] for name in before)


@EVERY_SPACE
def test_a_child_takes_each_answer_from_one_of_its_parents(space) -> None:
    _, mother = genome.sample(space, rng(1))
    _, father = genome.sample(space, rng(2))
    architecture, child = genome.cross(space, mother, father, rng(3))
    assert genome.decode(space, child) == architecture
    inherited = [n for n in child if child[n] in (mother.get(n), father.get(n))]
    assert len(inherited) > len(child) / 2


@EVERY_SPACE
def test_the_options_of_a_choice_never_change(space) -> None:
    seen: dict[str, tuple] = {}
    for seed in range(50):
        _, answers = genome.sample(space, rng(seed))
        for name, options in genome.options_of(space, answers).items():
            if not isinstance(options, range):
                assert seen.setdefault(name, options) == options


@EVERY_SPACE
def test_an_optuna_trials_parameters_are_its_record(space) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    decided = 0
    for _ in range(20):
        trial = study.ask()
        try:
            architecture = space.decide(from_trial(trial))
        except InvalidArchitecture:
            continue
        assert genome.decode(space, trial.params) == architecture
        decided += 1
    assert decided > 0


SHAPE = ModelShape(
    DataShape("features", 3, 2, every_step=False), ModelSize(embedding=4, hidden=5, layers=2)
)


@EVERY_SPACE
def test_its_samples_can_be_built_run_and_trained(space) -> None:
    x = torch.randn(4, 6, 3, generator=torch.Generator().manual_seed(0))
    for seed in range(10):
        architecture, _ = genome.sample(space, rng(seed))
        model = space.build(architecture, SHAPE, torch.Generator().manual_seed(0))
        answers, _, penalty = model(x, None, None)
        assert answers.shape == (4, 2)
        (answers.pow(2).sum() + penalty).backward()
        # not all of them, because a cell may carry a state that its output never reads
        assert any(p.grad is not None and p.grad.any() for p in model.parameters())


@EVERY_SPACE
def test_a_record_in_json_builds_the_same_model(space) -> None:
    architecture, _ = genome.sample(space, rng())
    again = Architecture.from_json(architecture.to_json())
    first, second = (
        space.build(a, SHAPE, torch.Generator().manual_seed(7)).state_dict()
        for a in (architecture, again)
    )
    assert list(first) == list(second)
    assert all(torch.equal(first[name], second[name]) for name in first)
