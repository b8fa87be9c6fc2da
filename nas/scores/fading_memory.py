"""Fading memory: an RNN's states should depend on the last input, and not on one long ago."""

import math

import torch
from torch import nn

from nas.core.score import ScoreFailed
from nas.core.task import Batch
from nas.scores.influence import influences

LOST = 1e-6  # an influence below this share of the variance counts as none


class FadingMemory:
    """log((S_1 + ε) / (S_far + ε)) of the last recurrent layer, ε = 1e-6.

    S_k is the share of the states' variance that is due to the input k steps ago (`influences`);
    far is 32 steps, or half the sequence if that is shorter. Deep cells that squash their inputs
    pass on almost nothing of the last word (S_1 is small); cells whose states explode never forget
    a word (S_far is large). Fading memory makes a system with feedback predictable from its recent
    inputs: Boyd and Chua 1985, https://doi.org/10.1109/TCS.1985.1085649, section II.
    The score is ours; `nas bench scores` compares it with published ones.
    """

    name = "fading-memory"
    higher_is_better = True

    def __call__(
        self, model: nn.Module, batch: Batch, generator: torch.Generator
    ) -> dict[str, float]:
        with torch.no_grad():
            _, shares = influences(model, batch)
        last = shares[-1]
        if not torch.isfinite(last).all():
            raise ScoreFailed("the last layer's states are not finite after a change of one input")
        return {self.name: math.log(float((last[1] + LOST) / (last[-1] + LOST)))}
