"""Masked language modelling: predict hidden tokens of a text."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from nas.core.answers import IGNORED, cross_entropy, mean_cross_entropy
from nas.core.task import Batch, Measured
from nas.tasks.python_text import load_python_text
from nas.tasks.text import LanguageModelling, Level, load_language_model
from search_spaces.space import DataShape

CHOSEN, MASKED, REPLACED = 0.15, 0.8, 0.1  # shares; the other chosen tokens stay unchanged


@dataclass(frozen=True)
class MaskedLanguageModelling:
    """Predicts 15 % of a text's tokens, of which 80 % are masked and 10 % replaced at random.

    Devlin et al. 2019, https://arxiv.org/abs/1810.04805, section 3.1. The mask is an extra token.
    """

    text: LanguageModelling

    name = "masked-language-model"
    metric = "perplexity"
    higher_is_better = False
    carries_state = False

    @property
    def shape(self) -> DataShape:
        tokens = self.text.vocabulary + 1
        return DataShape("tokens", tokens, tokens, every_step=True, masked=True)

    def training_batches(self, seed: int) -> Iterator[Batch]:
        return self._masked(self.text.training_batches(seed), seed)

    def validation_batches(self) -> Iterator[Batch]:
        return self._masked(self.text.validation_batches(), 0)

    def test_batches(self) -> Iterator[Batch]:
        return self._masked(self.text.test_batches(), 0)

    def score_batch(self, seed: int) -> Batch:
        return next(self._masked(iter([self.text.score_batch(seed)]), seed))

    def loss(self, answers: Tensor, targets: Tensor) -> Tensor:
        return cross_entropy(answers, targets)

    def measure(self, answered: Iterable[tuple[Tensor, Tensor]]) -> Measured:
        """Return the mean cross-entropy per chosen token in nats, and its exponential."""
        loss, _ = mean_cross_entropy(answered)
        return Measured(loss, math.exp(min(loss, 700.0)))

    def _masked(self, batches: Iterable[Batch], seed: int) -> Iterator[Batch]:
        for number, batch in enumerate(batches):
            yield masked(batch.inputs, self.text.vocabulary, np.random.default_rng([seed, number]))


def masked(tokens: Tensor, vocabulary: int, rng: np.random.Generator) -> Batch:
    """Return tokens `[B, T]`, some of them hidden, with the chosen tokens (at least 1) as targets.

    vocabulary: number of different tokens; the mask has this number.
    """
    shape = tuple(tokens.shape)
    draw = rng.random(shape)
    chosen = torch.from_numpy(draw <= max(CHOSEN, float(draw.min())))
    how = torch.from_numpy(rng.random(shape))
    other = torch.from_numpy(rng.integers(vocabulary, size=shape))
    inputs = torch.where(chosen & (how < MASKED), vocabulary, tokens)
    replaced = chosen & (how >= MASKED) & (how < MASKED + REPLACED)
    return Batch(torch.where(replaced, other, inputs), torch.where(chosen, tokens, IGNORED))


def load_masked_language_model(
    data: Path | None = None,
    *,
    level: Level = "auto",
    batch: int = 32,
    window: int = 64,
    score_batch: int = 32,
    score_window: int = 128,
) -> MaskedLanguageModelling:
    """Return the task of Python's standard library, or of `data` as in `load_language_model`."""
    sizes = {
        "batch": batch,
        "window": window,
        "score_batch": score_batch,
        "score_window": score_window,
    }
    if data is None:
        return MaskedLanguageModelling(load_python_text(**sizes))
    return MaskedLanguageModelling(load_language_model(data, level=level, **sizes))
