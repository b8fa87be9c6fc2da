"""Seeds that depend on nothing but what they are for."""

import numpy as np


def candidate_seed(study_seed: int, number: int) -> int:
    """A seed that a retry of the candidate, on whatever worker, gets again."""
    return int(np.random.SeedSequence([study_seed, number]).generate_state(1)[0])
