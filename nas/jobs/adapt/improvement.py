"""Improves static chains of all lengths together, by local search."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nas.jobs.adapt.grading import Grader
from search_spaces.layer_chain.chain import Chain, Rules


def improved(
    chains: Sequence[Chain], grades: Grader, rules: Rules, simulations: int, seed: int
) -> list[Chain]:
    """Return a chain of every given length that is at least as good, the longest first.

    Hill climbing: in every round, each length tries one random neighbour of its best chain, until
    `simulations` chains are graded or no neighbour is left.
    chains: graded chains, one of each length.
    """
    rng, best = np.random.default_rng([seed, 7]), {len(chain): chain for chain in chains}
    most = len(grades.known) + simulations
    while left := most - len(grades.known):
        lists = [neighbours(length, best, rules, grades.known) for length in sorted(best)]
        tried = [found[rng.integers(len(found))] for found in lists if found][:left]
        if not tried:
            break
        for chain, value in zip(tried, grades(tried), strict=True):
            if grades.known[best[len(chain)]] < value:
                best[len(chain)] = chain
    return [best[length] for length in sorted(best, reverse=True)]


def neighbours(
    length: int, best: Mapping[int, Chain], rules: Rules, known: Mapping[Chain, Any]
) -> list[Chain]:
    """Return unknown chains of a length.

    They are the best chain of this length with one call exchanged for another layer, and the best
    chain with one call more without one of its calls. The layers stay in their order; one is called
    twice only if the rules have repeats.
    """
    repeats, chain = any(edit.times for edit in rules.edits), best[length]
    found: dict[Chain, None] = {}
    for place in range(length):
        kept = chain[:place] + chain[place + 1 :]
        for layer in range(rules.layers):
            if repeats or layer not in kept:
                found.setdefault(tuple(sorted((*kept, layer))))
    longer = best.get(length + 1, rules.full if length + 1 == rules.layers else ())
    for place in range(len(longer)):
        found.setdefault(longer[:place] + longer[place + 1 :])
    return [chain for chain in found if chain not in known]
