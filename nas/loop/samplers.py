"""The built-in controllers: each function makes an Optuna sampler from a random generator."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler

from policies.evolution import RegularisedEvolution
from policies.local_search import LocalSearch
from policies.mcts import TreeSearch
from policies.path_sampler import PathSampler
from policies.predictor import Predictor

if TYPE_CHECKING:
    from search_spaces.layer_removal.space import LayerRemovalSpace

MULTI_OBJECTIVE = ("random", "tpe", "nsga-ii", "predictor")  # the others support only one objective
OF_TEACHERS = ("n2n",)  # these work only with `nas compress`
Method = Literal["ppo", "reinforce"]


def random(rng: np.random.Generator) -> BaseSampler:
    """Uniform random search."""
    return RandomSampler(seed=_seed(rng))


def tpe(rng: np.random.Generator, startup: int = 10) -> BaseSampler:
    """Optuna's tree-structured Parzen estimator; the first `startup` proposals are random."""
    return TPESampler(seed=_seed(rng), n_startup_trials=startup)


def nsga_ii(rng: np.random.Generator, population: int = 20) -> BaseSampler:
    """Optuna's NSGA-II (Deb et al. 2002); conditional decisions are random."""
    return NSGAIISampler(seed=_seed(rng), population_size=population)


def evolution(rng: np.random.Generator, population: int = 20, tournament: int = 5) -> BaseSampler:
    """Regularised evolution (Real et al. 2019)."""
    policy = RegularisedEvolution(rng, population=population, tournament=tournament)
    return PathSampler(policy, seed=_seed(rng))


def local_search(rng: np.random.Generator) -> BaseSampler:
    """Local search: tries every neighbour of the best, moves to the first that is better, and
    restarts if none is (White et al. 2021)."""
    return PathSampler(LocalSearch(rng), seed=_seed(rng))


def mcts(
    rng: np.random.Generator,
    exploration: float = 0.5,
    best_share: float = 0.4,
    equivalence: float = 10.0,
    widening: float = 2.0,
    chance: float = 0.1,
    floor: float = 0.5,
) -> BaseSampler:
    """Monte Carlo tree search over decisions: UCT with RAVE and progressive widening.

    For spaces whose first decisions matter most, such as the layers that compression removes, where
    it earns the highest mean reward. On tables of cells, where every decision matters alike, the
    predictor needs fewer models.
    """
    policy = TreeSearch(rng, exploration, best_share, equivalence, widening, chance, floor)
    return PathSampler(policy, seed=_seed(rng))


def predictor(
    rng: np.random.Generator,
    startup: int = 8,
    patience: int = 40,
    pool: int = 120,
    memory: int = 400,
) -> BaseSampler:
    """Proposes what a Gaussian process on decisions and scores expects to improve most."""
    policy = Predictor(rng, startup, patience, pool, memory)
    return PathSampler(policy, seed=_seed(rng))


def policy_gradient(
    rng: np.random.Generator,
    method: Method = "ppo",
    batch: int = 10,
    learning_rate: float = 0.04,
    entropy: float = 0.1,
    epochs: int = 2,
    start: Path | None = None,
) -> BaseSampler:
    """REINFORCE or PPO on an LSTM; `start` is a policy file from an earlier search."""
    from nas.loop.policy_file import load_policy
    from policies.policy_gradient import PolicyGradient  # imports torch

    policy = PolicyGradient(rng, batch, method, "leave-one-out", learning_rate, entropy, epochs)
    if start:
        load_policy(policy, Path(start))
    return PathSampler(policy, seed=_seed(rng))


def n2n(
    rng: np.random.Generator,
    space: "LayerRemovalSpace | None" = None,
    method: Method = "reinforce",
    batch: int = 5,
    learning_rate: float = 0.01,
    entropy: float = 0.02,
    epochs: int = 2,
) -> BaseSampler:
    """N2N learning (Ashok et al. 2018, https://arxiv.org/abs/1709.06030): REINFORCE on two LSTMs
    over the features of a teacher's layers, so a policy transfers to other teachers.

    Raises `ValueError` without a space of students.
    """
    import torch

    from policies.layer_lstms import LayerLstms
    from policies.policy_gradient import PolicyGradient
    from search_spaces.layer_removal.space import SHARES

    if space is None:
        raise ValueError("it needs the layers of a teacher: use it with nas compress")
    features = [layer.values for layer in space.outline.layers]
    generator = torch.Generator().manual_seed(_seed(rng))
    network = LayerLstms(generator, features, *space.layers_decided(), SHARES)
    policy = PolicyGradient(
        rng, batch, method, "leave-one-out", learning_rate, entropy, epochs, network=network
    )
    return PathSampler(policy, seed=_seed(rng))


def warmed(name: str, options: Mapping[str, Any], best: int) -> dict[str, Any]:
    """Return the options of a controller that starts from `best` warm proposals.

    If it has a population, the warm proposals fill it, so it makes no random ones.
    """
    population = {"population": max(best, 5)} if name in ("evolution", "nsga-ii") else {}
    return {**population, **options}


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**31))
