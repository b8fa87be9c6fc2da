"""Decisions: the questions that a search space asks, and the ways to answer them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

import numpy as np

Answer = None | bool | int | float | str
Answers = dict[str, Answer]
T = TypeVar("T")
Option = TypeVar("Option", bound=Answer)


class InvalidArchitecture(ValueError):
    """The answers do not lead to a valid architecture; the message says why."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One answered question: the index taken among so many options."""

    name: str
    index: int
    options: int


Path = tuple[Decision, ...]
Choose = Callable[[Path, str, int], int]  # the path so far, a name, how many options → an index


class Trial(Protocol):
    """The part of `optuna.Trial` that decisions use."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any: ...
    def suggest_int(self, name: str, low: int, high: int) -> int: ...


class Decisions:
    """Asks for decisions one at a time and remembers the answers.

    answer: called with the full name of a decision and its options; returns one of the options.
    answers: all answers so far by full name, in the order of the questions.

    Ask for each name once. The options of `choose` must never change for a name; the bounds of
    `integer` can change (Optuna refuses a categorical parameter whose choices change).
    """

    def __init__(
        self,
        answer: Callable[[str, Sequence[Any]], Any],
        *,
        prefix: str = "",
        answers: Answers | None = None,
    ) -> None:
        self._answer = answer
        self._prefix = prefix
        self.answers: Answers = {} if answers is None else answers

    def choose(self, name: str, options: Sequence[Option]) -> Option:
        """Return the chosen option."""
        return self._ask(name, tuple(options))

    def integer(self, name: str, low: int, high: int) -> int:
        """Return the chosen whole number from low to high, both included."""
        return self._ask(name, range(low, high + 1))

    def scope(self, name: str) -> "Decisions":
        """Return the same decisions, with the prefix `name/` before every name."""
        return Decisions(self._answer, prefix=f"{self._prefix}{name}/", answers=self.answers)

    def _ask(self, name: str, options: Sequence[Any]) -> Any:
        path = self._prefix + name
        if path in self.answers:
            raise ValueError(
                f'decision "{path}" is asked for twice: give each decision its own name'
            )
        if not options:
            raise InvalidArchitecture(f'decision "{path}" has no options')
        answer = self._answer(path, options)
        self.answers[path] = answer
        return answer


def from_trial(trial: Trial) -> Decisions:
    """Return decisions that the sampler of an Optuna study answers."""

    def answer(name: str, options: Sequence[Any]) -> Any:
        if isinstance(options, range):
            return trial.suggest_int(name, options[0], options[-1])
        return trial.suggest_categorical(name, options)

    return Decisions(answer)


def at_random(rng: np.random.Generator) -> Decisions:
    """Return decisions with uniformly random answers."""
    return Decisions(lambda _, options: options[int(rng.integers(len(options)))])


def by_policy(choose: Choose) -> tuple[Decisions, list[Decision]]:
    """Decisions answered by a policy, and the path that grows with each of them.

    The policy is not asked where there is one option only.
    """
    path: list[Decision] = []

    def answer(name: str, options: Sequence[Any]) -> Any:
        index = choose(tuple(path), name, len(options)) if len(options) > 1 else 0
        path.append(Decision(name, index, len(options)))
        return options[index]

    return Decisions(answer), path


def replayed(answers: Mapping[str, Answer], otherwise: Decisions | None = None) -> Decisions:
    """Return decisions answered from a record.

    otherwise: answers decisions that the record lacks or answers with an invalid option. Without
    it, such a decision raises `InvalidArchitecture`.
    """

    def answer(name: str, options: Sequence[Any]) -> Any:
        if name in answers and answers[name] in options:
            return answers[name]
        if otherwise is not None:
            return otherwise._answer(name, options)
        held = f"is {answers[name]!r} in the record" if name in answers else "is not in the record"
        raise InvalidArchitecture(f'decision "{name}" {held}; the options are {list(options)}')

    return Decisions(answer)


def enumerated(decide: Callable[[Decisions], T]) -> Iterator[tuple[T, Answers]]:
    """Yield every architecture that `decide` can reach, with its answers; skips invalid ones."""
    prefix: list[int] = []
    while True:
        trail: list[tuple[int, int]] = []  # index taken, number of options

        decisions = Decisions(partial(_next_option, prefix, trail))
        with suppress(InvalidArchitecture):
            yield decide(decisions), decisions.answers
        while trail and trail[-1][0] + 1 == trail[-1][1]:
            trail.pop()
        if not trail:
            return
        prefix = [index for index, _ in trail[:-1]] + [trail[-1][0] + 1]


def _next_option(
    prefix: list[int], trail: list[tuple[int, int]], _: str, options: Sequence[Any]
) -> Any:
    """Return the prefix's option, or the first option after its end, and add it to the trail."""
    index = prefix[len(trail)] if len(trail) < len(prefix) else 0
    trail.append((index, len(options)))
    return options[index]
