"""Tables of trained architectures, used as search spaces with known results."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from nas.core.errors import BadInput
from search_spaces.decisions import Answer, Answers, Decisions, InvalidArchitecture


@dataclass(frozen=True, slots=True)
class Row:
    """An architecture of a table.

    answers: its decisions by name, in order.
    reward: its result after training, a mean over training seeds; higher is better.
    scores: what is known without training it, by name: training-free scores and costs.
    place: its file and line, for messages.
    results: the result with each training seed, if the table has them.
    seconds: the time that training takes, NaN if unknown.
    """

    answers: Answers
    reward: float
    scores: Mapping[str, float] = field(default_factory=dict)
    place: str = ""
    results: tuple[float, ...] = ()
    seconds: float = float("nan")


@dataclass(slots=True)
class _Question:
    """A decision after certain answers, and the next decision or the row for each answer."""

    name: str
    leads_to: dict[Answer, "_Question | int"] = field(default_factory=dict)


class Table:
    """A search space whose architectures are the rows of a table; `decide` returns a row's number.

    has_decisions: False if the rows are only numbered.
    aliases: other decisions that lead to a row, with its number.
    rewards: the rewards of the rows, `[rows]`.

    >>> rows = [Row({"op": "tanh"}, 0.8), Row({"op": "relu"}, 0.9)]
    >>> table = Table("mine", rows)
    >>> table.decide(Decisions(lambda name, options: options[1])), table.best
    (0, 0.9)
    """

    def __init__(
        self,
        name: str,
        rows: Iterable[Row],
        has_decisions: bool = True,
        aliases: Iterable[tuple[Answers, int]] = (),
    ) -> None:
        self.name = name
        self.rows = list(rows)
        if not self.rows:
            raise BadInput(f"{name} has no architectures: add at least one row")
        self.has_decisions = has_decisions
        self.rewards = np.array([row.reward for row in self.rows])
        self.best = float(self.rewards.max())
        self._options = _options(self.rows)
        self._first = _tree(self.rows)
        for answers, number in aliases:
            _alias(self._first, answers, number)

    def decide(self, decisions: Decisions) -> int:
        """Choose a row by its decisions; raises `InvalidArchitecture` if the table lacks it."""
        at: _Question | int = self._first
        while isinstance(at, _Question):
            answer = decisions.choose(at.name, self._options[at.name])
            if answer not in at.leads_to:
                raise InvalidArchitecture(f"the table has no row with {decisions.answers}")
            at = at.leads_to[answer]
        return at

    def drawn(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """Return the result of one random training seed for each row, `[rows]`.

        Raises `BadInput` if the table has only means.
        """
        if not all(row.results for row in self.rows):
            raise BadInput(f"{self.name} has no results of single training seeds: use their mean")
        return np.array([row.results[rng.integers(len(row.results))] for row in self.rows])

    def with_scores(self, scores: Mapping[tuple[Answer, ...], Mapping[str, float]]) -> None:
        """Add scores to the rows by their answers, in order."""
        for number, row in enumerate(self.rows):
            more = scores.get(tuple(row.answers.values()), {})
            self.rows[number] = replace(row, scores={**row.scores, **more})

    def scored(self, names: Iterable[str]) -> list[int]:
        """Return the rows that have all these scores.

        Raises `BadInput` if there are none.
        """
        wanted = list(names)
        found = [i for i, row in enumerate(self.rows) if all(n in row.scores for n in wanted)]
        if not found:
            known = sorted({name for row in self.rows for name in row.scores})
            raise BadInput(
                f"{self.name} has no row with {' and '.join(wanted)}: "
                + (f"choose from its scores {', '.join(known)}" if known else "it has no scores")
            )
        return found


def _options(rows: list[Row]) -> dict[str, tuple[Answer, ...]]:
    """Return the options of every decision: all answers in the table, in a fixed order."""
    found: dict[str, dict[Answer, None]] = {}
    for row in rows:
        for name, answer in row.answers.items():
            found.setdefault(name, {})[answer] = None
    return {name: tuple(_ordered(answers)) for name, answers in found.items()}


def _ordered(answers: Iterable[Answer]) -> list[Answer]:
    """Sort numbers first, then words, so the order of the rows does not affect a search."""
    return sorted(answers, key=lambda a: (isinstance(a, str), a is not None, a))


def _tree(rows: list[Row]) -> _Question:
    first = _Question(next(iter(rows[0].answers), ""))
    for number, row in enumerate(rows):
        _add(first, row, number)
    return first


def _add(first: _Question, row: Row, number: int) -> None:
    if not row.answers:
        raise BadInput(f"{row.place}: decisions are empty: add at least one")
    at: _Question | int = first
    names = [*row.answers, None]
    for name, following in pairwise(names):
        assert name is not None
        if isinstance(at, int):
            raise BadInput(
                f'{row.place}: decision "{name}" comes after all decisions of another row: remove '
                "one of the rows"
            )
        if at.name != name:
            raise BadInput(
                f'{row.place}: decision "{name}" must be "{at.name}" as in other rows: the same '
                "answers lead to the same decision"
            )
        answer = row.answers[name]
        if following is None and answer in at.leads_to:
            raise BadInput(
                f"{row.place}: remove the row; its decisions equal or begin those of an earlier row"
            )
        default = number if following is None else _Question(following)
        at = at.leads_to.setdefault(answer, default)


def _alias(at: _Question, answers: Answers, number: int) -> None:
    *names, last = answers
    for name, following in pairwise((*names, last)):
        deeper = at.leads_to.setdefault(answers[name], _Question(following))
        assert isinstance(deeper, _Question)
        at = deeper
    at.leads_to.setdefault(answers[last], number)
