"""Settings that a search tunes together with the architecture, such as the learning rate."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from nas.core.errors import BadInput
from nas.core.settings import Section
from search_spaces.architecture import Architecture
from search_spaces.decisions import Decisions
from search_spaces.options import STRENGTH, Interval
from search_spaces.space import DataShape, ModelShape, SearchSpace

if TYPE_CHECKING:
    import torch
    from networkx import DiGraph
    from torch import nn

Sections = Mapping[str, type[Section]]
NOT_TUNED = ("training.steps", "training.rungs", "training.reduction")  # the budget of a search
FORM = "NAME=LOW:HIGH or NAME=LOW:HIGH:log, then ,prior=NUMBER and ,strength=SHARE if wanted"


@dataclass(frozen=True, slots=True)
class Tuned:
    """A setting that the search decides for each candidate.

    name: the setting, such as "training.learning_rate". whole: whether it is a whole number.
    prior, strength: the value that is expected to be best, if any, see `search_spaces.options`.
    """

    name: str
    values: Interval
    whole: bool = False
    prior: float | None = None
    strength: float = STRENGTH

    def ask(self, decisions: Decisions) -> float | int:
        """Return the value that the decisions give the setting."""
        low, high, log = self.values.low, self.values.high, self.values.log
        more = {"log": log, "prior": self.prior, "strength": self.strength}
        value = decisions.real(self.name, low, high, **more)
        return round(value) if self.whole else value


@dataclass(frozen=True, slots=True)
class TunedSpace:
    """A search space whose architectures also carry values of the tuned settings."""

    space: SearchSpace
    tuned: tuple[Tuned, ...]

    @property
    def name(self) -> str:
        return self.space.name

    def decide(self, decisions: Decisions) -> Architecture:
        architecture = self.space.decide(decisions)
        settings = tuple((setting.name, setting.ask(decisions)) for setting in self.tuned)
        return replace(architecture, settings=settings)

    def build(
        self, architecture: Architecture, shape: ModelShape, generator: "torch.Generator"
    ) -> "nn.Module":
        return self.space.build(replace(architecture, settings=()), shape, generator)

    def check(self, data: DataShape) -> None:
        self.space.check(data)

    def graph(self, architecture: Architecture) -> "DiGraph | None":
        return self.space.graph(replace(architecture, settings=()))

    def properties(self, architecture: Architecture) -> Mapping[str, float]:
        return self.space.properties(replace(architecture, settings=()))


def read_tuned(text: str, sections: Sections) -> Tuned:
    """Read a setting to tune, such as `training.learning_rate=1e-4:1e-1:log,prior=3e-3`.

    sections: the parts of a configuration that hold the settings, by name.
    Raises `ValueError`.
    """
    written, *options = text.split(",")
    name, _, bounds = written.partition("=")
    name = name.strip()
    kind = _numbers(sections).get(name)
    if kind is None:
        raise ValueError(f'"{name}" cannot be tuned: choose from {", ".join(_numbers(sections))}')
    low, high, log = _bounds(text, bounds)
    more = dict(_option(text, option) for option in options)
    for value in (low, high):
        _check_value(name, round(value) if kind is int else value, sections)
    try:
        values = Interval(low, high, log)
    except ValueError as error:
        raise ValueError(f'"{text}": {error}') from None
    if "prior" in more and more["prior"] not in values:
        raise ValueError(f'"{text}": the prior must lie between {low:g} and {high:g}')
    if not 0 <= more.get("strength", STRENGTH) <= 1:
        raise ValueError(f'"{text}": the strength of a prior is 0 to 1')
    return Tuned(name, values, kind is int, **more)


def settings_of(architecture: Architecture, sections: Sections) -> dict[str, dict[str, Any]]:
    """Return the settings that an architecture carries, checked, by section.

    Raises `BadInput` for one that is not a setting to tune.
    """
    found: dict[str, dict[str, Any]] = {name: {} for name in sections}
    for name, value in architecture.settings:
        if name not in _numbers(sections):
            raise BadInput(
                f'the architecture sets "{name}": choose from {", ".join(_numbers(sections))}'
            )
        try:
            _check_value(name, value, sections)
        except ValueError as error:
            raise BadInput(f"the architecture's settings: {error}") from None
        section, _, key = name.partition(".")
        found[section][key] = value
    return found


def _numbers(sections: Sections) -> dict[str, type]:
    """Return the settings that can be tuned, with their types."""
    return {
        f"{section}.{key}": field.annotation
        for section, kind in sections.items()
        for key, field in kind.model_fields.items()
        if field.annotation in (int, float) and f"{section}.{key}" not in NOT_TUNED
    }


def _bounds(text: str, bounds: str) -> tuple[float, float, bool]:
    low, high, *scale = [part.strip() for part in bounds.split(":")] + [""] * (":" not in bounds)
    if scale not in ([], ["log"]):
        raise ValueError(f'"{text}": write it as {FORM}')
    return _number(text, low), _number(text, high), bool(scale)


def _option(text: str, option: str) -> tuple[str, float]:
    name, _, value = option.strip().partition("=")
    if name not in ("prior", "strength"):
        raise ValueError(f'"{text}": write it as {FORM}')
    return name, _number(text, value)


def _number(text: str, number: str) -> float:
    try:
        return float(number)
    except ValueError:
        raise ValueError(f'"{text}": write it as {FORM}') from None


def _check_value(name: str, value: float, sections: Sections) -> None:
    """Raise `ValueError` unless the setting can have the value."""
    section, _, key = name.partition(".")
    try:
        sections[section].model_validate({key: value})
    except ValidationError as error:
        raise ValueError(f"{name}: {error.errors()[0]['msg']}, not {value!r}") from None
