"""Compares chain searches at equal numbers of evaluated chains.

python tests/benchmarks/chain_searches.py FOLDER LAYERS TASK STEPS [SEEDS [SAMPLES [METHOD …]]]

FOLDER keeps the small decoder, which is trained by `nas adapt`'s recipe if it is not there. For
each method and budget it prints the mean length of the shortest right chain, over samples that the
full chain answers right, with its standard error; the same for random perturbations as large as the
chains' changes; wrong samples put right and the mean length of their shortest right chain; and
layer calls per sample when chains share beginnings.
"""

import itertools
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from nas.core.settings import Named
from nas.jobs.adapt.config import AdaptConfig, Decoder
from nas.jobs.adapt.oracle import Found, search_each
from nas.jobs.adapt.searches.search import SEARCHES
from nas.jobs.adapt.setup import adapt_job, find_items, find_source, with_trained_decoder
from search_spaces.layer_chain.chain import Chain, Rules

BUDGETS = (25, 100, 200)
HEAD = [
    "method",
    "chains",
    "shortest right",
    "by chance",
    "put right",
    "their length",
    "layer calls",
]


class ShortestFirst:
    """A control that learns nothing: all chains of layers in order, the shortest first."""

    def __init__(self, rules: Rules, rng: np.random.Generator, weakest: Sequence[int]) -> None:
        lengths = range(rules.shortest, rules.layers)
        self.chains = (c for n in lengths for c in itertools.combinations(rules.full, n))

    def propose(self, count: int) -> list[Chain]:
        return list(itertools.islice(self.chains, count))

    def learn(self, rewards: Mapping[Chain, float]) -> None: ...


def searched(config: AdaptConfig, folder: Path) -> list[Found]:
    source = find_source(config)
    items = find_items(config, source)
    source = with_trained_decoder(source, config, folder)
    job = replace(adapt_job(config, source, items), source=source)
    evaluator = job.evaluator(items.samples)
    seeds = [config.seed * 1000 + n for n in range(len(items.samples))]
    return search_each(evaluator, job.rules, job.search, seeds)


def shortest(found: Found, budget: int, by_chance: bool = False) -> int | None:
    """Return the length of the shortest right chain among the first ones."""
    tried = list(found.tried)[: budget + 1]
    right = [True, *found.controls] if found.right_at_first else [False, *found.controls]
    if not by_chance:
        right = [found.tried[chain].correct for chain in tried]
    return min(
        (len(c) for c, is_right in zip(tried, right, strict=False) if is_right), default=None
    )


def calls(found: Found, budget: int) -> int:
    tried = list(found.tried)[: budget + 1]
    return len({chain[:end] for chain in tried for end in range(1, len(chain) + 1)})


def aligned_row(row: Sequence[str]) -> str:
    return f"{row[0]:14s}" + "".join(f"{cell:>14s}" for cell in row[1:])


def cells(name: str, found: Sequence[Found], budget: int) -> list[str]:
    right = [one for one in found if one.right_at_first]
    wrong = [one for one in found if not one.right_at_first]
    lengths = np.array([shortest(one, budget) for one in right], float)
    chance = np.mean([shortest(one, budget, by_chance=True) for one in right])  # type: ignore[arg-type]
    fixed = [length for one in wrong if (length := shortest(one, budget))]
    return [
        name,
        str(budget),
        f"{lengths.mean():.2f} ± {lengths.std(ddof=1) / len(right) ** 0.5:.2f}",
        f"{chance:.2f}",
        f"{len(fixed)}/{len(wrong)}",
        f"{np.mean(fixed):.2f}" if fixed else "–",
        f"{np.mean([calls(one, budget) for one in found]):.0f}",
    ]


if __name__ == "__main__":
    torch.set_num_threads(1)
    where, layers, task, steps, *rest = sys.argv[1:]
    seeds, samples = int(rest[0]) if rest else 3, int(rest[1]) if rest[1:] else 32
    SEARCHES["shortest-first"] = ShortestFirst  # type: ignore[index]
    print(f"llama{layers}, {task}, {steps} steps, {seeds} seeds of {samples} samples")
    print(aligned_row(HEAD), flush=True)
    for method in rest[2:] or SEARCHES:
        every: list[Found] = []
        for seed in range(seeds):
            config = AdaptConfig(
                task=Named(name=task),
                decoder=Decoder(layers=int(layers), steps=int(steps)),
                samples=samples,
                others=8,
                simulations=max(BUDGETS),
                seed=seed,
            ).model_copy(update={"search": method})
            every += searched(config, Path(where))
        for budget in BUDGETS:
            print(aligned_row(cells(method, every, budget)), flush=True)
    print(f"full chain right: {sum(one.right_at_first for one in every)} of {len(every)}")
