"""Writes our controllers as packages in the layout of OptunaHub's registry.

python -m policies.hub FOLDER

Run it in the source tree, as `make optunahub` does.
Every package is complete in itself: a sampler, and copies of the modules that it needs. It needs
Optuna and numpy (the policy gradient also PyTorch), not the whole of nas-search with Ray and its
compilers, and it keeps working whichever version of nas-search is installed. The copies are made
here, so there is one source. https://optuna.github.io/optunahub/
"""

import ast
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from optuna import __version__ as optuna_version

ROOT = Path(__file__).parents[1]
OURS = ("policies", "search_spaces")


@dataclass(frozen=True, slots=True)
class Package:
    """A controller as a package of the registry.

    name: the package's folder. sampler: the class that it offers.
    policy: `module:Class` of the policy. title, about: for the README.
    paper: where the method comes from. needs: what to install besides Optuna.
    """

    name: str
    sampler: str
    policy: str
    title: str
    about: str
    paper: str
    needs: tuple[str, ...] = ("numpy",)


PACKAGES = (
    Package(
        "path_evolution",
        "PathEvolutionSampler",
        "policies.evolution:RegularisedEvolution",
        "Regularised Evolution for Conditional Spaces",
        "Mutates one decision of the fittest of a random tournament, in a population that drops "
        "its oldest member. Decisions that depend on others keep their values where they can.",
        "Real et al. 2019, Regularized Evolution for Image Classifier Architecture Search, "
        "https://arxiv.org/abs/1802.01548",
    ),
    Package(
        "path_local_search",
        "PathLocalSearchSampler",
        "policies.local_search:LocalSearch",
        "Local Search with Restarts for Conditional Spaces",
        "Tries the neighbours of the best trial, moves to the first that is better, and restarts "
        "where none is.",
        "White et al. 2021, Exploring the Loss Landscape in Neural Architecture Search, "
        "https://arxiv.org/abs/2005.02960",
    ),
    Package(
        "path_tree_search",
        "PathTreeSearchSampler",
        "policies.mcts:TreeSearch",
        "Monte Carlo Tree Search over Decisions",
        "UCT over the tree of decisions, with RAVE and progressive widening. It suits spaces whose "
        "later questions depend on earlier answers.",
        "Kocsis and Szepesvári 2006, Bandit based Monte-Carlo Planning, "
        "https://doi.org/10.1007/11871842_29",
    ),
    Package(
        "path_predictor",
        "PathPredictorSampler",
        "policies.predictor:Predictor",
        "Predictor of Trials by a Gaussian Process on Decisions",
        "Proposes the neighbour or mutant of the best trials that a Gaussian process on encoded "
        "decisions expects to improve most. It suits categorical and conditional spaces with "
        "expensive trials.",
        "White et al. 2021, BANANAS, https://arxiv.org/abs/1910.11858; Dudziak et al. 2020, "
        "BRP-NAS, https://arxiv.org/abs/2007.08668",
    ),
    Package(
        "path_policy_gradient",
        "PathPolicyGradientSampler",
        "policies.policy_gradient:PolicyGradient",
        "Policy Gradient on an LSTM over Decisions",
        "PPO or REINFORCE on an LSTM that answers one decision after the other.",
        "Zoph and Le 2017, Neural Architecture Search with Reinforcement Learning, "
        "https://arxiv.org/abs/1611.01578; Schulman et al. 2017, Proximal Policy Optimization, "
        "https://arxiv.org/abs/1707.06347",
        ("numpy", "torch"),
    ),
)

SAMPLER = '''"""{title}, a sampler for Optuna."""

from typing import Any

import numpy as np

from .path_sampler import PathSampler
from .{module} import {policy}


class {sampler}(PathSampler):
    """{about}

    {paper}

    seed: seeds all draws; None for other draws each time.
    options: those of `{policy}` in `{module}.py`, by name.
    """

    def __init__(self, seed: int | None = None, **options: Any) -> None:
        rng = np.random.default_rng(seed)
        super().__init__({policy}(rng, **options), seed=int(rng.integers(2**31)))


__all__ = ["{sampler}"]
'''

README = """---
author: The nas developers
title: {title}
description: {about}
tags: [sampler, neural architecture search, conditional search space]
optuna_versions: [{optuna}]
license: Apache-2.0
---

## Abstract

{about}
The study may have any integer, categorical and float parameters, with conditions between them, and
one objective. A float is chosen by two decisions, one of 64 equal bins of its range, linear or
logarithmic, and drawn within the bin.

## APIs

- `{sampler}(seed: int | None = None, **options)`
  - `seed`: seeds all draws.
  - `options`: those of `{policy}` in `{module}.py`; its docstring explains them.

## Installation

```shell
pip install optunahub {needs}
```

## Example

```python
{example}```

## Reference

{paper}
"""

EXAMPLE = """import optuna
import optunahub

module = optunahub.load_module("samplers/{name}")


def objective(trial: optuna.Trial) -> float:
    layers = trial.suggest_int("layers", 1, 3)
    units = [trial.suggest_categorical(f"units_{{i}}", (16, 32, 64)) for i in range(layers)]
    rate = trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True)
    return abs(sum(units) - 96) / 96 + abs(rate - 3e-3)


study = optuna.create_study(sampler=module.{sampler}(seed=0))
study.optimize(objective, n_trials=50)
print(study.best_value, study.best_params)
"""


def write_packages(folder: Path) -> list[Path]:
    """Write all packages below `folder/package/samplers`; returns their folders."""
    return [_write(package, folder / "package" / "samplers") for package in PACKAGES]


def _write(package: Package, samplers: Path) -> Path:
    folder, (module, _, policy) = samplers / package.name, package.policy.partition(":")
    words = {
        "name": package.name,
        "sampler": package.sampler,
        "title": package.title,
        "about": package.about,
        "paper": package.paper,
        "module": module.rpartition(".")[2],
        "policy": policy,
        "needs": " ".join(package.needs),
        "optuna": optuna_version,
    }
    example = EXAMPLE.format(**words)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in {
        "__init__.py": SAMPLER.format(**words),
        "README.md": README.format(**words, example=example),
        "example.py": example,
        "LICENSE": (ROOT / "LICENSE").read_text(),
        **_copies(module),
    }.items():
        (folder / name).write_text(text)
    return folder


def _copies(module: str) -> dict[str, str]:
    """Return the modules that a policy needs, with imports within the package, by file name."""
    copies: dict[str, str] = {}
    waiting = [module, "policies.path_sampler"]
    while waiting:
        name = waiting.pop()
        file = name.rpartition(".")[2] + ".py"
        if file in copies:
            continue
        text = ROOT.joinpath(*name.split(".")).with_suffix(".py").read_text()
        waiting += [
            node.module
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.ImportFrom)
            and node.module
            and node.module.partition(".")[0] in OURS
        ]
        ours = rf"\b(?:{'|'.join(OURS)})\.(\w+)"
        text = re.sub(rf"\bfrom {ours} import", r"from .\1 import", text)
        copies[file] = re.sub(ours, r"\1", text)
    return copies


if __name__ == "__main__":
    for made in write_packages(Path(sys.argv[1])):
        print(made)
