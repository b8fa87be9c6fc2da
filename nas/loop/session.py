"""What every job opens before its loop runs."""

import numpy as np

from nas.core.registry import create_controller
from nas.loop.controller import Controller


def drawer_of(seed: int, trials: int) -> Controller:
    """Draws a pool, uniformly; what comes next depends on how many trials there are."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, trials, 1]))
    return Controller(create_controller("random", rng, {}), maximise=False)
