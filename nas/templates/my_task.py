"""A task of your own: which of three waves is in a noisy recording?"""

import numpy as np

from nas.tasks.classification import Classification, Examples
from search_spaces.space import DataShape

STEPS, PERIODS = 64, (4, 6, 9)


def waves(noise: float = 1.0, batch: int = 32, seed: int = 0) -> Classification:
    """Return the task; its arguments are options in search.toml.

    noise: standard deviation of the noise, beside waves of amplitude 1. batch: recordings of a
        training step. seed: of the recordings.

    Replace the recordings by your arrays: inputs `[n, steps, features]`, targets `[n]`. For images
    or texts, see `DataShape`; for a `DataLoader`, see `nas.tasks.LoaderTask`.
    """
    rng = np.random.default_rng(seed)
    train, valid, test = (_recordings(rng, n, noise) for n in (1000, 300, 300))
    shape = DataShape("features", inputs=1, outputs=len(PERIODS), every_step=False)
    return Classification("waves", shape, train, valid, test, batch)


def _recordings(rng: np.random.Generator, n: int, noise: float) -> Examples:
    which = rng.integers(0, len(PERIODS), n)
    phase = rng.uniform(0, 2 * np.pi, (n, 1))
    steps = 2 * np.pi * np.arange(STEPS) / np.array(PERIODS)[which, None]
    inputs = np.sin(steps + phase) + noise * rng.normal(size=(n, STEPS))
    return Examples(inputs[:, :, None].astype(np.float32), which)
