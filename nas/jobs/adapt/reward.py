"""The reward of a chain's answer to one question."""

from nas.jobs.adapt.config import By
from nas.jobs.adapt.questions import Judged
from search_spaces.layer_chain.chain import Chain, Rules

RIGHT = 0.5  # the least reward of a right chain


def reward(judged: Judged, chain: Chain, rules: Rules, full: Judged, by: By = "gold") -> float:
    """Return a reward: 0.5 to 1 for a correct chain, more if it is short; 0 to 0.5 otherwise.

    by: what counts as correct: the "gold" answer, or "agreement" with the full chain's answer.
        "confidence" rewards the chain's confidence in its own answer instead. Only "gold" needs
        the correct answers.
    """
    short = 1 - 0.5 * len(chain) / rules.limit
    if by == "confidence":
        return judged.confidence * short
    right = judged.correct if by == "gold" else judged.answer == full.answer
    if right:
        return short
    return 0.5 * judged.likelihood if by == "gold" else 0.0
