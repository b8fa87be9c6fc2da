"""The check of a search space."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import optuna
import torch
from networkx import DiGraph

from nas.reporting.drawing import draw
from nas.testing.requiring import (
    equal_weights,
    global_seed,
    inputs_of,
    no_error,
    require,
    require_parts,
    weights,
)
from search_spaces import genome
from search_spaces.architecture import Architecture
from search_spaces.decisions import InvalidArchitecture, from_trial
from search_spaces.options import Interval
from search_spaces.output import Output
from search_spaces.space import DataShape, ModelShape, ModelSize, SearchSpace, completed

SMALL = ModelSize(embedding=4, hidden=5, layers=2)
DRAWS = 20


def check_space(space: Any, data: DataShape, size: ModelSize = SMALL) -> None:
    """Raise `AssertionError` unless a space keeps to `search_spaces.space.SearchSpace`.

    data: the shape that models are built for, such as `task.shape`. size: of these models.

    The same decisions must give the same architecture, in every way in which decisions are made;
    the same architecture and generator must give the same model; and models must run and train.
    """
    require_parts("spaces", space)
    space = completed(space)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    _check_decisions(space)
    _check_options(space)
    _check_mutants(space)
    _check_optuna(space)
    _check_hooks(space, data)
    _check_models(space, ModelShape(data, size))


def _draw(space: SearchSpace, seed: int) -> genome.Individual:
    remedy = "raise InvalidArchitecture where answers describe nothing that may be built"
    with no_error(f"{space.name}: decide", remedy):
        return genome.sample(space, np.random.default_rng(seed))


def _decode(space: SearchSpace, answers: Mapping[str, Any]) -> Architecture:
    remedy = "let decide depend on nothing but the answers"
    with no_error(f"{space.name}: decide, given its own answers again,", remedy):
        return genome.decode(space, answers)


def _check_decisions(space: SearchSpace) -> None:
    for seed in range(DRAWS):
        architecture, answers = _draw(space, seed)
        require(
            isinstance(architecture, Architecture) and architecture.space == space.name,
            f"{space.name}: decide returns {architecture!r}: return Architecture(self.name, …)",
        )
        require(
            _decode(space, answers) == architecture,
            f"{space.name}: the same decisions give different architectures: let decide depend "
            f"on nothing but the answers ({answers})",
        )
        with no_error(f"{space.name}: the JSON of {architecture}", "write the spec in tuples"):
            again = Architecture.from_json(architecture.to_json())
        require(
            again == architecture,
            f"{space.name}: JSON makes {again.spec} of {architecture.spec}: use tuples, numbers "
            "and strings only",
        )


def _check_options(space: SearchSpace) -> None:
    seen: dict[str, Any] = {}
    for seed in range(50):
        _, answers = _draw(space, seed)
        for name, options in genome.options_of(space, answers).items():
            if isinstance(options, range | Interval):
                continue
            require(
                all(isinstance(option, bool | int | float | str | None) for option in options),
                f"{space.name}: decision {name} has options {options}: offer numbers and strings",
            )
            require(
                seen.setdefault(name, options) == options,
                f"{space.name}: decision {name} has options {options} and at other times "
                f"{seen[name]}: give each set of options a name of its own",
            )


def _check_mutants(space: SearchSpace) -> None:
    for seed in range(DRAWS):
        _, mother = _draw(space, seed)
        _, father = _draw(space, seed + 1)
        with no_error(f"{space.name}: decide, given answers that were changed,"):
            _, mutant = genome.mutate(space, mother, np.random.default_rng(seed))
            mixed, child = genome.cross(space, mother, father, np.random.default_rng(seed))
        first = next(name for name in mother if mutant.get(name) != mother[name])
        before = list(mother)[: list(mother).index(first)]
        require(
            first in mutant and list(mutant)[: len(before)] == before,
            f"{space.name}: decision {first} is not asked for after the same answers to "
            f"{before or 'nothing'}: ask in an order that follows from the answers alone",
        )
        require(
            _decode(space, child) == mixed,
            f"{space.name}: the child of two architectures is another one when it is decided again",
        )
        inherited = [name for name in child if child[name] in (mother.get(name), father.get(name))]
        require(
            2 * len(inherited) > len(child),
            f"{space.name}: a child of two has few of their answers: let fewer options depend on "
            "earlier answers",
        )


def _check_optuna(space: SearchSpace) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    decided = 0
    for _ in range(DRAWS):
        trial = study.ask()
        with no_error(f"{space.name}: decide, answered by an Optuna trial,"):
            architecture = _valid(space, trial)
        require(
            architecture is None or _decode(space, trial.params) == architecture,
            f"{space.name}: an Optuna trial's parameters give another architecture than the trial",
        )
        decided += architecture is not None
    require(decided > 0, f"{space.name}: {DRAWS} random proposals in a row were invalid")


def _valid(space: SearchSpace, trial: optuna.Trial) -> Architecture | None:
    try:
        return space.decide(from_trial(trial))
    except InvalidArchitecture:
        return None


def _check_hooks(space: SearchSpace, data: DataShape) -> None:
    with no_error(f"{space.name}: check of {data}", "name data that the space has models for"):
        space.check(data)
    for seed in range(3):
        architecture, _ = _draw(space, seed)
        with no_error(f"{space.name}: properties or graph of {architecture}"):
            known, graph = space.properties(architecture), space.graph(architecture)
        require(
            all(isinstance(name, str) and math.isfinite(value) for name, value in known.items()),
            f"{space.name}: properties are {known}: return finite numbers by name",
        )
        require(
            known == space.properties(architecture),
            f"{space.name}: properties differ from call to call: use the architecture alone",
        )
        if graph is not None:
            require(isinstance(graph, DiGraph), f"{space.name}: graph must be a networkx.DiGraph")
            remedy = "give each node label, kind and state, and leave out circles"
            with no_error(f"{space.name}: a drawing of graph({architecture})", remedy):
                draw(graph)


def _check_models(space: SearchSpace, shape: ModelShape) -> None:
    inputs = inputs_of(shape.data)
    steps = inputs.shape[1:2] if shape.data.every_step else ()
    expected = (len(inputs), *steps, shape.data.outputs)
    for seed in range(10):
        architecture, _ = _draw(space, seed)
        if seed < 3:
            _check_build(space, architecture, shape)
        with no_error(f"{space.name}: build of {architecture}"):
            model = space.build(architecture, shape, torch.Generator().manual_seed(0))
        with no_error(f"{space.name}: the model of {architecture}, given {tuple(inputs.shape)},"):
            output = model(inputs, None, None)
        require(
            isinstance(output, Output),
            f"{space.name}: a model returns {type(output).__name__}: return "
            "search_spaces.output.Output(answers, state, penalty)",
        )
        require(
            output.answers.shape == expected and output.penalty.ndim == 0,
            f"{space.name}: a model answers {tuple(output.answers.shape)} with a penalty of "
            f"{tuple(output.penalty.shape)}: answers must be {expected}, the penalty a scalar",
        )
        with no_error(f"{space.name}: the gradient of the model of {architecture}"):
            (output.answers.pow(2).sum() + output.penalty).backward()
        # Not all: a cell may carry a state that its output never reads.
        require(
            any(p.grad is not None and bool(p.grad.any()) for p in model.parameters()),
            f"{space.name}: no weight of {architecture} has a gradient: it cannot be trained",
        )


def _check_build(space: SearchSpace, architecture: Architecture, shape: ModelShape) -> None:
    again = Architecture.from_json(architecture.to_json())
    built = []
    for described, seed in ((architecture, 1), (again, 1), (again, 2)):
        with global_seed(seed), no_error(f"{space.name}: build of {described}"):
            model = space.build(described, shape, torch.Generator().manual_seed(7))
        built.append(weights(model))
    require(
        equal_weights(built[0], built[1]),
        f"{space.name}: build gives other weights each time: draw them from the generator alone",
    )
    require(
        equal_weights(built[0], built[2]),
        f"{space.name}: build uses the global random state: draw weights from the generator, or "
        "make layers within `search_spaces.seeding.drawn_from(generator)`",
    )
