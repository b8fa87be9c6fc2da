"""Grades chains on all inputs together."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

from nas.jobs.adapt.evaluator import ChainEvaluator
from nas.jobs.adapt.influence import Influence, influence_of
from nas.jobs.adapt.questions import Judged
from nas.jobs.adapt.stages import Tick, silent
from search_spaces.layer_chain.chain import Chain


class Graded(Protocol):
    """A chain's results; the better of two chains is the greater."""

    def __lt__(self, other: Any, /) -> bool: ...

    def is_close_to(self, full: Self, tolerance: float) -> bool:
        """Return whether a chain loses at most `tolerance` compared with the full chain."""
        ...


class Grader(Protocol):
    """Grades chains on all inputs, each chain once; a grade is `Graded`."""

    @property
    def known(self) -> dict[Chain, Any]: ...

    def __call__(self, chains: Iterable[Chain], /) -> list[Any]: ...

    def influence(self) -> Influence: ...


@dataclass(frozen=True, order=True, slots=True)
class Grade:
    """A chain's share of correct answers, and the mean probability of the correct answer."""

    accuracy: float
    likelihood: float

    def is_close_to(self, full: "Grade", tolerance: float) -> bool:
        return self.accuracy >= full.accuracy - tolerance


class Grades:
    """Grades chains with an evaluator of questions, each chain once."""

    def __init__(self, evaluator: ChainEvaluator, tick: Tick = silent, wanted: int = 0) -> None:
        """wanted: about how many chains will be graded, for `tick`."""
        self.evaluator, self._tick, self._wanted = evaluator, tick, wanted
        self.known: dict[Chain, Grade] = {}

    def __call__(self, chains: Iterable[Chain]) -> list[Grade]:
        chains = list(chains)
        new = [chain for chain in dict.fromkeys(chains) if chain not in self.known]
        for chain, judged in zip(new, self.evaluator.answers(new), strict=True):
            self.known[chain] = grade(judged)
        self._tick(len(self.known), max(self._wanted, len(self.known)))
        return [self.known[chain] for chain in chains]

    def influence(self) -> Influence:
        rows = (row.tokens for row in self.evaluator.rows)
        return influence_of(self.evaluator.decoder, rows)


def grade(judged: Sequence[Judged]) -> Grade:
    """Return the grade of one chain's answers."""
    return Grade(
        sum(one.correct for one in judged) / len(judged),
        sum(one.likelihood for one in judged) / len(judged),
    )
