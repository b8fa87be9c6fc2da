"""Seeds that depend only on the study and the candidate."""

import numpy as np


def candidate_seed(study_seed: int, number: int) -> int:
    """Return a candidate's seed, the same for every retry and on every worker."""
    return int(np.random.SeedSequence([study_seed, number]).generate_state(1)[0])
