"""Searches of papers under their own rules, replayed on a table: WeakNAS and local search.

Each returns the rows that it trains, in order, and sees only their `rewards`, `[rows]`.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from nas.bench.tables import Table

Rewards = NDArray[np.float64]


def weak_nas(
    table: Table, rewards: Rewards, trained: int, rng: np.random.Generator, stop: int
) -> list[int]:
    """WeakNAS (Wu et al. 2021, https://arxiv.org/abs/2102.10490), with the authors' settings.

    10 random models; then rounds of 10 random ones of the 100 that a perceptron of four layers of
    1000 units, trained afresh for 100 epochs, ranks first in the whole table. The perceptron is
    that of their code: scikit-learn's defaults (Adam, learning rate 0.001, batches of 200).
    stop: a row after which the rest does not matter.
    """
    encoded = torch.tensor(one_hot(table), dtype=torch.float32)
    scaled = torch.tensor((rewards - rewards.mean()) / rewards.std(), dtype=torch.float32)
    rows = rng.choice(len(rewards), 10, replace=False).tolist()
    while len(rows) < trained and stop not in rows:
        predicted = _predicted(encoded, rows, scaled[rows], int(rng.integers(2**31)))
        first = [row for row in np.argsort(-predicted, kind="stable")[:100] if row not in rows]
        # the authors' code fills up with the next best if fewer than 10 of the 100 are left
        if len(first) < 10:
            known = set(rows)
            first = [r for r in np.argsort(-predicted, kind="stable") if r not in known][:10]
        rows += [int(row) for row in rng.choice(first, 10, replace=False)]
    return rows[:trained]


def _predicted(encoded: torch.Tensor, rows: list[int], y: torch.Tensor, seed: int) -> NDArray:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers: list[nn.Module] = []
        for inputs in (encoded.shape[1], 1000, 1000, 1000):
            layers += [nn.Linear(inputs, 1000), nn.ReLU()]
        model = nn.Sequential(*layers, nn.Linear(1000, 1))
        for layer in model:
            if isinstance(layer, nn.Linear):  # Glorot and Bengio 2010, for weights and biases
                bound = (6 / (layer.in_features + layer.out_features)) ** 0.5
                nn.init.uniform_(layer.weight, -bound, bound)
                nn.init.uniform_(layer.bias, -bound, bound)
        optimizer = torch.optim.Adam(model.parameters(), weight_decay=0.0)
        for _ in range(100):
            for batch in torch.randperm(len(rows)).split(200):
                optimizer.zero_grad()
                chosen = torch.tensor(rows)[batch]
                ((model(encoded[chosen])[:, 0] - y[batch]) ** 2).mean().div(2).backward()
                optimizer.step()
        with torch.inference_mode():
            return model(encoded)[:, 0].numpy()


def best_neighbour(
    table: Table, rewards: Rewards, trained: int, rng: np.random.Generator, stop: int
) -> list[int]:
    """Local search (White et al. 2021, https://arxiv.org/abs/2005.02960), as in the authors' code.

    10 random models; from the best, all single changes in random order, then on to the best of
    these if it is better; 10 new random models at an optimum. Models are trained once.
    """
    names = list(table.rows[0].answers)
    number = {tuple(row.answers.values()): i for i, row in enumerate(table.rows)}
    options = [sorted({row.answers[name] for row in table.rows}) for name in names]
    rows: dict[int, None] = {}
    while len(rows) < trained and stop not in rows:
        at = max(_new(rows, len(rewards), rng), key=lambda row: rewards[row])
        while len(rows) < trained:
            answers = tuple(table.rows[at].answers.values())
            near = [
                number[(*answers[:i], other, *answers[i + 1 :])]
                for i, several in enumerate(options)
                for other in several
                if other != answers[i]
            ]
            fresh = [row for row in rng.permutation(near).tolist() if row not in rows]
            rows |= dict.fromkeys(fresh)
            better = max(fresh, key=lambda row: rewards[row], default=at)
            if rewards[better] <= rewards[at]:
                break
            at = better
    return list(rows)[:trained]


def _new(rows: dict[int, None], count: int, rng: np.random.Generator) -> list[int]:
    drawn: list[int] = []
    while len(drawn) < 10:
        row = int(rng.integers(count))
        if row not in rows:
            rows[row] = None
            drawn.append(row)
    return drawn


def one_hot(table: Table) -> NDArray[np.float64]:
    """Return the answers of the rows, `[rows, answers]`, for tables without conditional ones."""
    columns: Sequence[Sequence[object]] = [
        [row.answers[name] for row in table.rows] for name in table.rows[0].answers
    ]
    encoded = [np.array(c)[:, None] == np.unique(np.array(c)) for c in columns]
    return np.concatenate(encoded, axis=1).astype(float)
