"""Masking: how many tokens are hidden, and which ones are targets."""

import numpy as np
import pytest
import torch

from nas.tasks.masked_text import IGNORED, load_masked_language_model, masked


def test_fifteen_percent_are_chosen_and_eighty_percent_of_those_masked() -> None:
    tokens = torch.randint(1000, (200, 500), generator=torch.Generator().manual_seed(0))
    inputs, targets, _ = masked(tokens, 1000, np.random.default_rng(0))
    chosen = targets != IGNORED
    assert torch.equal(targets[chosen], tokens[chosen])
    assert torch.equal(inputs[~chosen], tokens[~chosen])
    assert float(chosen.float().mean()) == pytest.approx(0.15, abs=0.01)
    assert float((inputs[chosen] == 1000).float().mean()) == pytest.approx(0.8, abs=0.02)
    assert float((inputs[chosen] == tokens[chosen]).float().mean()) == pytest.approx(0.1, abs=0.02)


def test_at_least_one_token_is_chosen() -> None:
    for seed in range(20):
        targets = masked(torch.zeros(1, 2), 5, np.random.default_rng(seed)).targets
        assert (targets != IGNORED).any()


def test_only_chosen_tokens_are_measured() -> None:
    task = load_masked_language_model()
    _, targets, _ = task.score_batch(0)
    answers = torch.zeros(*targets.shape, task.shape.outputs)
    assert task.measure([(answers, targets)]).metric == pytest.approx(257, rel=1e-4)
