"""Operations on records of decisions that work in every search space."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from search_spaces.architecture import Architecture
from search_spaces.decisions import (
    Answer,
    Answers,
    Decisions,
    InvalidArchitecture,
    at_random,
    enumerated,
    replayed,
)
from search_spaces.space import SearchSpace

Individual = tuple[Architecture, Answers]


def sample(space: SearchSpace, rng: np.random.Generator, attempts: int = 1000) -> Individual:
    """Draw a random architecture with its answers, drawing invalid ones again.

    Raises `InvalidArchitecture` if every attempt is invalid.
    """
    return _first_valid(space, lambda: at_random(rng), attempts)


def decode(space: SearchSpace, answers: Mapping[str, Answer]) -> Architecture:
    """Return the architecture that the answers describe; a missing answer is an error."""
    return space.decide(replayed(answers))


def mutate(
    space: SearchSpace,
    answers: Mapping[str, Answer],
    rng: np.random.Generator,
    attempts: int = 1000,
) -> Individual:
    """Return an architecture that answers one decision differently.

    Later decisions keep their answers if these are still valid; otherwise they are redrawn.
    """
    options = options_of(space, answers)
    open_names = [name for name, values in options.items() if len(values) > 1]
    if not open_names:
        raise InvalidArchitecture(f"cannot mutate: {space.name} has no decision with a choice")

    def changed() -> Decisions:
        name = open_names[rng.integers(len(open_names))]
        others = [value for value in options[name] if value != answers[name]]
        new = {**answers, name: others[rng.integers(len(others))]}
        return replayed(new, otherwise=at_random(rng))

    return _first_valid(space, changed, attempts)


def cross(
    space: SearchSpace,
    mother: Mapping[str, Answer],
    father: Mapping[str, Answer],
    rng: np.random.Generator,
    attempts: int = 1000,
) -> Individual:
    """Return an architecture that takes each answer from one of its parents, if it is valid."""

    def mixed() -> Decisions:
        names = {**mother, **father}
        chosen = {
            name: (
                mother if name not in father or (name in mother and rng.random() < 0.5) else father
            )[name]
            for name in names
        }
        return replayed(chosen, otherwise=at_random(rng))

    return _first_valid(space, mixed, attempts)


def enumerate_space(space: SearchSpace) -> Iterator[Individual]:
    """Yield every architecture of a (small) space with its answers."""
    return enumerated(space.decide)


def encode(records: Sequence[Mapping[str, Answer]]) -> tuple[np.ndarray, list[str]]:
    """Encode records of decisions as numbers for a predictor.

    Returns a matrix `[records, columns]` and the columns' names. A number has one column with its
    value; any other decision has a 0/1 column for each option seen. A decision that a record lacks
    is 0, and the column `name?` says whether the record has it.
    """
    columns: dict[str, int] = {}
    rows: list[dict[int, float]] = []
    for record in records:
        row: dict[int, float] = {}
        for name, value in record.items():
            row[columns.setdefault(f"{name}?", len(columns))] = 1.0
            number = isinstance(value, int | float) and not isinstance(value, bool)
            column = name if number else f"{name}={value}"
            row[columns.setdefault(column, len(columns))] = float(value) if number else 1.0  # type: ignore[arg-type]
        rows.append(row)
    matrix = np.zeros((len(rows), len(columns)))
    for i, row in enumerate(rows):
        matrix[i, list(row)] = list(row.values())
    return matrix, list(columns)


def options_of(space: SearchSpace, answers: Mapping[str, Answer]) -> dict[str, Sequence[Any]]:
    """Return the options that each decision of a record had."""
    seen: dict[str, Sequence[Any]] = {}
    replay = replayed(answers)

    def answer(name: str, options: Sequence[Any]) -> Any:
        seen[name] = options
        return replay._answer(name, options)

    space.decide(Decisions(answer))
    return seen


def _first_valid(space: SearchSpace, propose: Any, attempts: int) -> Individual:
    reason = ""
    for _ in range(attempts):
        decisions = propose()
        try:
            return space.decide(decisions), decisions.answers
        except InvalidArchitecture as error:
            reason = str(error)
    raise InvalidArchitecture(f"{space.name}: {attempts} proposals in a row were invalid: {reason}")
