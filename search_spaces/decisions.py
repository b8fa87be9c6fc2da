"""Decisions: the questions that a search space asks, and the ways to answer them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

import numpy as np

from search_spaces.options import (
    BINS,
    STRENGTH,
    Answer,
    Interval,
    Prior,
    bin_of,
    checked,
    digits_of,
    drawn,
    shown,
)

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
    def suggest_float(self, name: str, low: float, high: float, *, log: bool) -> float: ...


class Decisions:
    """Asks for decisions one at a time and remembers the answers.

    answer: called with the full name of a decision and its options; returns one of the options.
    answers: all answers so far by full name, in the order of the questions.
    priors: the priors of the questions so far by full name, for an `answer` that uses them.

    Ask for each name once. The options of `choose` must never change for a name; the bounds of
    `integer` and `real` can change (Optuna refuses a categorical parameter whose choices change).
    A question can have a prior, the answer that is expected to be best, with a strength: see
    `Prior`.

    >>> decisions = at_random(np.random.default_rng(0))
    >>> decisions.choose("activation", ("relu", "tanh"), prior="tanh", strength=0.9)
    'tanh'
    >>> 1e-4 <= decisions.real("learning_rate", 1e-4, 1e-1, log=True, prior=3e-3) <= 1e-1
    True
    """

    def __init__(
        self,
        answer: Callable[[str, Sequence[Any]], Any],
        *,
        prefix: str = "",
        answers: Answers | None = None,
        priors: dict[str, Prior] | None = None,
    ) -> None:
        self._answer = answer
        self._prefix = prefix
        self.answers: Answers = {} if answers is None else answers
        self.priors: dict[str, Prior] = {} if priors is None else priors

    def choose(
        self,
        name: str,
        options: Sequence[Option],
        *,
        prior: Option | None = None,
        strength: float = STRENGTH,
    ) -> Option:
        """Return the chosen option; an option None cannot be a prior."""
        return self._ask(name, tuple(options), prior, strength)

    def integer(
        self,
        name: str,
        low: int,
        high: int,
        *,
        prior: int | None = None,
        strength: float = STRENGTH,
    ) -> int:
        """Return the chosen whole number from low to high, both included."""
        return self._ask(name, range(low, high + 1), prior, strength)

    def real(
        self,
        name: str,
        low: float,
        high: float,
        *,
        log: bool = False,
        prior: float | None = None,
        strength: float = STRENGTH,
    ) -> float:
        """Return the chosen number from low to high, on a linear or a logarithmic scale."""
        return self._ask(name, Interval(low, high, log), prior, strength)

    def scope(self, name: str) -> "Decisions":
        """Return the same decisions, with the prefix `name/` before every name."""
        prefix = f"{self._prefix}{name}/"
        return Decisions(self._answer, prefix=prefix, answers=self.answers, priors=self.priors)

    def _ask(
        self, name: str, options: Sequence[Any], prior: Answer = None, strength: float = 0.0
    ) -> Any:
        path = self._prefix + name
        if "~" in path:
            raise ValueError(f'decision "{path}": leave "~" out of its name')
        if path in self.answers:
            raise ValueError(
                f'decision "{path}" is asked for twice: give each decision its own name'
            )
        if not options:
            raise InvalidArchitecture(f'decision "{path}" has no options')
        if prior is not None:
            self.priors[path] = checked(path, options, Prior(prior, strength))
        answer = self._answer(path, options)
        self.answers[path] = answer
        return answer


def from_trial(trial: Trial, priors: dict[str, Prior] | None = None) -> Decisions:
    """Return decisions that the sampler of an Optuna study answers.

    priors: receives each question's prior before the sampler is asked.
    """

    def answer(name: str, options: Sequence[Any]) -> Any:
        if isinstance(options, range):
            return trial.suggest_int(name, options[0], options[-1])
        if isinstance(options, Interval):
            return trial.suggest_float(name, options.low, options.high, log=options.log)
        return trial.suggest_categorical(name, options)

    return Decisions(answer, priors=priors)


def at_random(rng: np.random.Generator) -> Decisions:
    """Return decisions with random answers: uniform, or drawn from the question's prior."""
    priors: dict[str, Prior] = {}

    def answer(name: str, options: Sequence[Any]) -> Any:
        if name in priors:
            return priors[name].draw(options, rng)
        return drawn(options, rng)

    return Decisions(answer, priors=priors)


def by_policy(choose: Choose) -> tuple[Decisions, list[Decision]]:
    """Decisions answered by a policy, and the path that grows with each of them.

    The policy is not asked where there is one option only. It answers a question for a real
    number with two decisions, see `digits_of`.
    """
    path: list[Decision] = []

    def answer(name: str, options: Sequence[Any]) -> Any:
        if isinstance(options, Interval) and len(options) > 1:
            return options[bin_of([_taken(digit, BINS) for digit in digits_of(name)])]
        return options[_taken(name, len(options))]

    def _taken(name: str, options: int) -> int:
        index = choose(tuple(path), name, options) if options > 1 else 0
        path.append(Decision(name, index, options))
        return index

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
        raise InvalidArchitecture(f'decision "{name}" {held}; the options are {shown(options)}')

    return Decisions(answer, priors=None if otherwise is None else otherwise.priors)


def enumerated(decide: Callable[[Decisions], T]) -> Iterator[tuple[T, Answers]]:
    """Yield every architecture that `decide` can reach, with its answers; skips invalid ones.

    An interval counts as the centres of its bins.
    """
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
