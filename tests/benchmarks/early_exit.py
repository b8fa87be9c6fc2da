"""Compares rules of early exit on the next tokens of stories, at the accuracy of the full chain.

python -m tests.benchmarks.early_exit WEIGHTS [ITEMS [SEEDS]]

WEIGHTS: stories260K.bin, its tokenizer beside it; its text is sampled from the model itself.
"""

import sys
from pathlib import Path
from statistics import mean, stdev

import numpy as np
import torch

from nas.jobs.adapt.accelerated_exit import accelerated_exit
from nas.jobs.adapt.early_exit import Exit, early_exit
from nas.jobs.adapt.evaluator import ChainEvaluator
from nas.jobs.adapt.questions import Exact
from search_spaces.layer_chain.llama2c import read_llama, read_vocabulary
from tests.benchmarks.depth_reduction import sampled_stories

MEMORY, TOLERANCE = 2**28, 0.0
SHORTEST, LONGEST = 16, 64  # tokens of a prompt


def questions(tokens: list[int], count: int, seed: int) -> list[Exact]:
    """Return prompts at random places of a text, each with its next token."""
    rng = np.random.default_rng(seed)
    asked = []
    for end in rng.integers(LONGEST, len(tokens) - 1, count):
        start = end - rng.integers(SHORTEST, LONGEST)
        asked.append(Exact(tuple(tokens[start:end]), (tokens[end],)))
    return asked


def line(name: str, right: tuple[bool, ...], calls: tuple[int, ...], same: float) -> str:
    share, n = mean(right), len(right)
    error = (share * (1 - share) / n) ** 0.5
    means = f"{share:.3f} ± {error:.3f}  {mean(calls):.2f} ± {stdev(calls) / n**0.5:.2f}"
    return f"{name:12}{n:6}  {means}  {same:.1%}"


if __name__ == "__main__":
    torch.set_num_threads(1)
    weights, count, seeds = Path(sys.argv[1]), *map(int, [*sys.argv[2:], 256, 3][:2])
    model = read_llama(weights)
    words = read_vocabulary(next(weights.parent.glob("tok*.bin")), model.size.tokens)
    text = words.encode(sampled_stories(weights, stories=150))
    rules = {"agreement": early_exit, "accelerated": accelerated_exit}
    found: dict[str, list[Exit]] = {name: [] for name in rules}
    for seed in range(seeds):
        parts = (questions(text, count, 2 * seed + part) for part in (0, 1))
        fit, test = (ChainEvaluator(model, part, MEMORY) for part in parts)
        for name, rule in rules.items():
            found[name].append(rule(fit, test, TOLERANCE))
        (full,) = test.answers([tuple(range(model.layers))])
        full_right = tuple(one.correct for one in full)
        none = Exit(1.1, (model.layers,) * count, full_right, (True,) * count)
        found.setdefault("full", []).append(none)
    print("rule             n  right          calls         as the full chain")
    for name, exits in found.items():
        right, calls, same = (
            tuple(value for one in exits for value in values(one))
            for values in (lambda e: e.right, lambda e: e.calls, lambda e: e.same)
        )
        print(line(name, right, calls, mean(same)))
