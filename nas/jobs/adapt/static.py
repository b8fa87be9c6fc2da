"""Finds one chain for all inputs, by four methods of choosing which layers to remove."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from nas.jobs.adapt.grading import Grader
from nas.jobs.adapt.improvement import improved
from nas.jobs.adapt.influence import Influence
from nas.jobs.adapt.searches.removal import without_one
from search_spaces.layer_chain.chain import Chain, Rules

FULL = "full"
Method = Literal["block-influence", "angular-distance", "greedy", "searched"]
METHODS: tuple[Method, ...] = get_args(Method)


@dataclass(frozen=True, slots=True)
class Choice:
    """A chain and the method that chose it."""

    method: str
    chain: Chain


def static_chains(grades: Grader, rules: Rules, simulations: int, seed: int) -> list[Choice]:
    """Return the full chain, then one chain of every shorter length by every method."""
    choices = [
        Choice(method, chain)
        for method in METHODS
        for chain in chains_by(method, grades, rules, simulations, seed)
    ]
    return [Choice(FULL, rules.full), *choices]


def chains_by(
    method: Method, grades: Grader, rules: Rules, simulations: int, seed: int
) -> list[Chain]:
    """Return a chain of every length below the full one's, the longest first.

    - "block-influence" removes the layers of least influence, "angular-distance" the consecutive
      layers that turn states least; neither grades chains.
    - "greedy" removes one layer after another, each time the one that costs least.
    - "searched" improves the greedy chains of all lengths together, with `simulations` more chains.
    """
    if method == "block-influence":
        return _least_influence(grades.influence(), rules)
    if method == "angular-distance":
        return _least_turning(grades.influence(), rules)
    greedy = _greedy(grades, rules)
    if method == "greedy":
        return greedy
    return improved(greedy, grades, rules, simulations, seed)


def graded_for(layers: int) -> int:
    """Return how many chains the methods grade at the most, without those of the search."""
    by_influence, greedy = 2 * (layers - 1), layers * (layers + 1) // 2
    return by_influence + greedy


def best_static(grades: Grader, choices: Sequence[Choice], tolerance: float) -> Choice:
    """Return the shortest chain that loses at most `tolerance`; of equal lengths, the best."""
    full, *_ = known = grades(choice.chain for choice in choices)
    close = [
        (choice, value)
        for choice, value in zip(choices, known, strict=True)
        if value.is_close_to(full, tolerance)
    ]
    shortest = min(len(choice.chain) for choice, _ in close)
    return max((pair for pair in close if len(pair[0].chain) == shortest), key=lambda p: p[1])[0]


def _least_influence(influence: Influence, rules: Rules) -> list[Chain]:
    order = influence.blocks.argsort(stable=True).tolist()
    return [tuple(sorted(order[gone:])) for gone in range(1, rules.layers)]


def _least_turning(influence: Influence, rules: Rules) -> list[Chain]:
    full, chains = rules.full, []
    for gone in range(1, rules.layers):
        start = int(influence.angles.diagonal(gone).argmin())
        chains.append(full[:start] + full[start + gone :])
    return chains


def _greedy(grades: Grader, rules: Rules) -> list[Chain]:
    chains = [rules.full]
    while len(chains[-1]) > 1:
        last = chains[-1]
        shorter = without_one(last)
        values = grades(shorter)
        chains.append(shorter[max(range(len(shorter)), key=values.__getitem__)])
    return chains[1:]
