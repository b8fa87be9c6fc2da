"""Tables of trained architectures: search spaces whose results are known beforehand."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from nas.core.errors import BadInput
from search_spaces.decisions import Answer, Answers, Decisions, InvalidArchitecture


@dataclass(frozen=True, slots=True)
class Row:
    """An architecture of a table.

    answers: its decisions by name, in the order in which they are asked.
    reward: what training it gave; higher is better.
    scores: what is known without training it, by name; higher is better.
    place: where the table's file has it, for messages.
    """

    answers: Answers
    reward: float
    scores: Mapping[str, float] = field(default_factory=dict)
    place: str = ""


@dataclass(slots=True)
class _Question:
    """What is asked after certain answers, and where each answer leads: on, or to a row."""

    name: str
    leads_to: dict[Answer, "_Question | int"] = field(default_factory=dict)


class Table:
    """A search space of the rows of a table; `decide` gives a row's number.

    has_decisions: False for rows that are only numbered, as there is nothing to decide in them.

    >>> rows = [Row({"op": "tanh"}, 0.8), Row({"op": "relu"}, 0.9)]
    >>> table = Table("mine", rows)
    >>> table.decide(Decisions(lambda name, options: options[1])), table.best
    (0, 0.9)
    """

    def __init__(self, name: str, rows: Iterable[Row], has_decisions: bool = True) -> None:
        self.name = name
        self.rows = list(rows)
        if not self.rows:
            raise BadInput(f"{name} holds no architecture")
        self.has_decisions = has_decisions
        self.best = max(row.reward for row in self.rows)
        self._options = _options(self.rows)
        self._first = _tree(self.rows)

    def decide(self, decisions: Decisions) -> int:
        """One question a position; raises `InvalidArchitecture` for what the table lacks."""
        at: _Question | int = self._first
        while isinstance(at, _Question):
            answer = decisions.choose(at.name, self._options[at.name])
            if answer not in at.leads_to:
                raise InvalidArchitecture(f"the table has no {decisions.answers}")
            at = at.leads_to[answer]
        return at

    def scored(self, names: Iterable[str]) -> list[int]:
        """The rows that have all these scores.

        Raises `BadInput` when there is none.
        """
        wanted = list(names)
        found = [i for i, row in enumerate(self.rows) if all(n in row.scores for n in wanted)]
        if not found:
            known = sorted({name for row in self.rows for name in row.scores})
            raise BadInput(
                f"{self.name} has no row with {' and '.join(wanted)}: "
                + (f"its scores are {', '.join(known)}" if known else "it has no scores")
            )
        return found


def _options(rows: list[Row]) -> dict[str, tuple[Answer, ...]]:
    """The options of every decision: all answers that the table has, always the same ones."""
    found: dict[str, dict[Answer, None]] = {}
    for row in rows:
        for name, answer in row.answers.items():
            found.setdefault(name, {})[answer] = None
    return {name: tuple(_ordered(answers)) for name, answers in found.items()}


def _ordered(answers: Iterable[Answer]) -> list[Answer]:
    """Numbers by size, so that no order of the rows changes a search; then words."""
    return sorted(answers, key=lambda a: (isinstance(a, str), a is not None, a))


def _tree(rows: list[Row]) -> _Question:
    first = _Question(next(iter(rows[0].answers), ""))
    for number, row in enumerate(rows):
        _add(first, row, number)
    return first


def _add(first: _Question, row: Row, number: int) -> None:
    if not row.answers:
        raise BadInput(f"{row.place}: no decisions")
    at: _Question | int = first
    names = [*row.answers, None]
    for name, following in pairwise(names):
        assert name is not None
        if isinstance(at, int):
            raise BadInput(f'{row.place}: decision "{name}" follows where another row ends')
        if at.name != name:
            raise BadInput(
                f'{row.place}: decision "{name}" stands where other rows have "{at.name}": after '
                "the same answers every row must ask the same"
            )
        answer = row.answers[name]
        if following is None and answer in at.leads_to:
            raise BadInput(
                f"{row.place}: its decisions are those of an earlier row, or their start"
            )
        default = number if following is None else _Question(following)
        at = at.leads_to.setdefault(answer, default)
