"""Early exit: answers after the first layer that agrees with the layer before and is sure.

The final norm and head read the hidden state after every layer. As in PABEE (Zhou et al. 2020,
https://arxiv.org/abs/2006.04152), agreement of successive layers is taken to predict the answer of
the whole decoder; we also ask for confidence, because two layers often agree by chance.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from nas.jobs.adapt.evaluator import ChainEvaluator
from nas.jobs.adapt.questions import Judged

THRESHOLDS = (0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999, 1.1)  # the last one never leaves


class Exit(NamedTuple):
    """A threshold of confidence, with the layers after which items are answered, and the answers.

    same: whether each answer is the whole decoder's.
    """

    threshold: float
    calls: tuple[int, ...]
    right: tuple[bool, ...]
    same: tuple[bool, ...]


ExitRule = Callable[[ChainEvaluator, ChainEvaluator, float], Exit]
ByDepth = Sequence[Sequence[Judged]]  # the answers of all items after each layer


def early_exit(fit: ChainEvaluator, test: ChainEvaluator, tolerance: float) -> Exit:
    """Choose the threshold with the fewest calls on the fit questions; measure it on the others.

    tolerance: accuracy that it may lose on the fit questions.
    """
    return best_exit(_by_depth(fit), _by_depth(test), tolerance)


def best_exit(fit: ByDepth, test: ByDepth, tolerance: float) -> Exit:
    """Choose the threshold on answers to fit questions, and leave the test questions with it."""
    tried = [left(fit, threshold) for threshold in THRESHOLDS]
    least = sum(tried[-1].right) - tolerance * len(tried[-1].right)
    best = min((e for e in tried if sum(e.right) >= least), key=lambda e: sum(e.calls))
    return left(test, best.threshold)


def left(by_depth: ByDepth, threshold: float) -> Exit:
    """Answer every item at its exit."""
    calls = []
    for answers in zip(*by_depth, strict=True):
        sure = (
            depth
            for depth in range(2, len(answers))
            if answers[depth - 1].answer == answers[depth - 2].answer
            and answers[depth - 1].confidence >= threshold
        )
        calls.append(next(sure, len(answers)))
    given = [by_depth[depth - 1][n] for n, depth in enumerate(calls)]
    right = tuple(one.correct for one in given)
    same = tuple(a.answer == b.answer for a, b in zip(given, by_depth[-1], strict=True))
    return Exit(threshold, tuple(calls), right, same)


def _by_depth(evaluator: ChainEvaluator) -> list[list[Judged]]:
    full = range(evaluator.decoder.layers)
    return evaluator.answers([tuple(full[:depth]) for depth in range(1, len(full) + 1)])
