"""The options of a question: a few choices, a range of whole numbers, or an interval of numbers."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

BINS, DIGITS = 8, 2  # policies choose one of 8 bins of an interval, then one of 8 within it
NEAR = 0.1  # deviation of draws around a prior's number, as a share of the range
STRENGTH = 0.5  # of a prior that does not say

Answer = None | bool | int | float | str


@dataclass(frozen=True, slots=True)
class Interval(Sequence[float]):
    """The numbers from low to high, both included, on a linear or a logarithmic scale.

    As a sequence it has the centres of 64 equal bins. They are what policies choose from, see
    `digits_of`, and what `enumerated` tries; other ways to answer may give any number between.

    >>> rates = Interval(1e-4, 1e-1, log=True)
    >>> len(rates), round(rates.at(0.5), 5), rates.index(0.0999), 0.02 in rates
    (64, 0.00316, 63, True)
    """

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low <= self.high):
            raise ValueError(f"low must be at most high, not {self.low:g} and {self.high:g}")
        if self.log and self.low <= 0:
            raise ValueError(f"a logarithmic scale needs low above 0, not {self.low:g}")

    def __len__(self) -> int:
        return BINS**DIGITS if self.low < self.high else 1

    def __getitem__(self, index: Any) -> Any:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self.at((index + 0.5) / len(self))

    def __contains__(self, value: object) -> bool:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and self.low <= value <= self.high  # type: ignore[operator]

    def index(self, value: Any, start: int = 0, stop: int | None = None) -> int:
        """Return the bin of a number."""
        return min(int(self.position(value) * len(self)), len(self) - 1)

    def at(self, position: float) -> float:
        """Return the number at a share of the way from low to high, 0 to 1."""
        if self.log:
            value = self.low * (self.high / self.low) ** position
        else:
            value = self.low + (self.high - self.low) * position
        return min(max(value, self.low), self.high)

    def position(self, value: float) -> float:
        """Return how far a number is on the way from low to high, 0 to 1."""
        if self.low == self.high:
            return 0.0
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


@dataclass(frozen=True, slots=True)
class Prior:
    """A belief about which answer to a question is good.

    answer: the answer that is expected to be best.
    strength: the share of random draws that follow the belief, 0 to 1: they give this answer, or
        a number near it (a normal distribution whose deviation is a tenth of the range). The other
        draws are uniform, so a wrong prior excludes nothing (Hvarfner et al. 2022, section 4.1,
        https://arxiv.org/abs/2204.11051).
    """

    answer: Answer
    strength: float = STRENGTH

    def draw(self, options: Sequence[Any], rng: np.random.Generator) -> Any:
        """Return a random option, which follows the belief with the probability `strength`."""
        if rng.random() >= self.strength:
            return drawn(options, rng)
        if not isinstance(options, range | Interval):
            return self.answer
        centre = _position(options, self.answer)
        while True:
            position = rng.normal(centre, NEAR)
            if 0 <= position <= 1:
                if isinstance(options, Interval):
                    return options.at(position)
                return options[round(position * (len(options) - 1))]

    def support(self, options: Sequence[Any], answer: Answer) -> float:
        """Return the logarithm of the answer's probability, relative to uniform draws."""
        if isinstance(options, range | Interval):
            distance = (_position(options, answer) - _position(options, self.answer)) / NEAR
            density = math.exp(-(distance**2) / 2) / (NEAR * math.sqrt(2 * math.pi))
        else:
            density = len(options) * float(answer == self.answer)
        return math.log(max(self.strength * density + 1 - self.strength, 1e-9))


def drawn(options: Sequence[Any], rng: np.random.Generator) -> Any:
    """Return a uniformly random option."""
    if isinstance(options, Interval):
        return options.at(rng.random())
    return options[int(rng.integers(len(options)))]


def checked(name: str, options: Sequence[Any], prior: Prior) -> Prior:
    """Return the prior; raises `ValueError` if it is not an option or its strength not a share."""
    if prior.answer not in options:
        raise ValueError(
            f'decision "{name}": the prior {prior.answer!r} is not one of {shown(options)}'
        )
    if not 0 <= prior.strength <= 1:
        raise ValueError(
            f'decision "{name}": the strength of a prior is 0 to 1, not {prior.strength!r}'
        )
    return prior


def digits_of(real: str, index: int = 0) -> dict[str, int]:
    """Return the digits, by name, by which a policy chooses a bin of an interval.

    The first picks one of 8 equal bins, the second one of 8 equal parts of it: a tree over the
    interval, as in Bubeck et al. 2011, section 3, https://arxiv.org/abs/1001.4475.

    >>> digits_of("rate", 13)
    {'rate~1': 1, 'rate~2': 5}
    """
    places = range(1, DIGITS + 1)
    return {f"{real}~{place}": index // BINS ** (DIGITS - place) % BINS for place in places}


def bin_of(digits: Iterable[int]) -> int:
    """Return the bin that digits stand for.

    >>> bin_of([1, 5])
    13
    """
    return reduce(lambda index, digit: index * BINS + digit, digits, 0)


def question_of(name: str) -> str:
    """Return the question that a policy's decision belongs to: a digit belongs to a real number's.

    >>> question_of("rate~2"), question_of("layers")
    ('rate', 'layers')
    """
    return name.partition("~")[0]


def share_of(name: str) -> float | None:
    """Return the share of its question's range that one step of a digit spans, or None.

    >>> share_of("rate~1"), share_of("rate~2"), share_of("layers")
    (0.125, 0.015625, None)
    """
    _, _, place = name.partition("~")
    return float(BINS) ** -int(place) if place.isdigit() else None


def _position(options: "range | Interval", answer: Any) -> float:
    """Return how far an answer is on the way from the first to the last option, 0 to 1."""
    if isinstance(options, Interval):
        return options.position(answer)
    return (answer - options[0]) / max(options[-1] - options[0], 1)


def shown(options: Sequence[Any]) -> str:
    """Return options for a message."""
    if isinstance(options, Interval):
        return f"the numbers from {options.low:g} to {options.high:g}"
    return str(list(options))
