"""Finds one chain for all inputs, by four methods of choosing which layers to remove."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from nas.jobs.adapt.evaluator import ChainEvaluator
from nas.jobs.adapt.influence import Influence, influence_of
from nas.jobs.adapt.questions import Judged
from nas.jobs.adapt.tree import ChainSearch
from search_spaces.layer_chain.chain import Chain, Rules

FULL = "full"


@dataclass(frozen=True, order=True, slots=True)
class Grade:
    """A chain's share of correct answers, and the mean probability of the correct answer."""

    accuracy: float
    likelihood: float


@dataclass(frozen=True, slots=True)
class Choice:
    """A chain and the method that chose it."""

    method: str
    chain: Chain


class Grades:
    """Grades chains with an evaluator, each chain once."""

    def __init__(self, evaluator: ChainEvaluator) -> None:
        self.evaluator = evaluator
        self.known: dict[Chain, Grade] = {}

    def __call__(self, chains: Iterable[Chain]) -> list[Grade]:
        chains = list(chains)
        new = [chain for chain in dict.fromkeys(chains) if chain not in self.known]
        for chain, judged in zip(new, self.evaluator.answers(new), strict=True):
            self.known[chain] = grade(judged)
        return [self.known[chain] for chain in chains]


def grade(judged: Sequence[Judged]) -> Grade:
    """Return the grade of one chain's answers."""
    return Grade(
        sum(one.correct for one in judged) / len(judged),
        sum(one.likelihood for one in judged) / len(judged),
    )


def static_chains(
    grades: Grades, rules: Rules, simulations: int, batch: int, seed: int
) -> list[Choice]:
    """Return the full chain, then one chain of every shorter length by every method.

    - `block-influence` removes the layers of least influence, `angular-distance` the consecutive
      layers that turn states least; neither uses answers.
    - `greedy` removes one layer after another, each time the one that costs least.
    - `searched` is the best chain up to a length in a tree search of `simulations` chains.
    """
    influence = influence_of(grades.evaluator)
    chosen = {
        "block-influence": _least_influence(influence, rules),
        "angular-distance": _least_turning(influence, rules),
        "greedy": _greedy(grades, rules),
        "searched": _searched(grades, rules, simulations, batch, seed),
    }
    choices = [Choice(name, chain) for name, chains in chosen.items() for chain in chains]
    return [Choice(FULL, rules.full), *choices]


def best_static(grades: Grades, choices: Sequence[Choice], tolerance: float) -> Choice:
    """Return the shortest chain whose accuracy is at most `tolerance` below the full chain's."""
    least = grades([choices[0].chain])[0].accuracy - tolerance
    known = zip(choices, grades(choice.chain for choice in choices), strict=True)
    return min(
        ((c, g) for c, g in known if g.accuracy >= least),
        key=lambda pair: (len(pair[0].chain), -pair[1].accuracy, -pair[1].likelihood),
    )[0]


def _least_influence(influence: Influence, rules: Rules) -> list[Chain]:
    order = influence.blocks.argsort(stable=True).tolist()
    return [tuple(sorted(order[gone:])) for gone in range(1, rules.layers)]


def _least_turning(influence: Influence, rules: Rules) -> list[Chain]:
    full, chains = rules.full, []
    for gone in range(1, rules.layers):
        start = int(influence.angles.diagonal(gone).argmin())
        chains.append(full[:start] + full[start + gone :])
    return chains


def _greedy(grades: Grades, rules: Rules) -> list[Chain]:
    chains = [rules.full]
    while len(chains[-1]) > 1:
        last = chains[-1]
        shorter = [last[:i] + last[i + 1 :] for i in range(len(last))]
        values = grades(shorter)
        chains.append(shorter[max(range(len(shorter)), key=values.__getitem__)])
    return chains[1:]


def _searched(grades: Grades, rules: Rules, simulations: int, batch: int, seed: int) -> list[Chain]:
    """Search one tree for all samples, rewarded by accuracy, likelihood and length."""
    tree = ChainSearch(rules, np.random.default_rng(seed))
    new = [rules.full]
    while new:
        values = zip(new, grades(new), strict=True)
        tree.learn(
            {c: g.accuracy + 0.2 * g.likelihood - 0.2 * len(c) / rules.layers for c, g in values}
        )
        new = tree.propose(min(batch, simulations + 1 - len(tree.known)))
    found = []
    for longest in range(rules.layers - 1, 0, -1):
        fitting = [chain for chain in tree.known if len(chain) <= longest]
        if fitting:
            found.append(max(fitting, key=lambda c: (grades([c])[0], -len(c))))
    return list(dict.fromkeys(found))
