"""What a job gives the driver: the space it searches and how a candidate is measured."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from nas.core.executor import CandidateFailed
from nas.core.task import Measured
from search_spaces.architecture import Architecture
from search_spaces.space import SearchSpace


@dataclass(frozen=True, slots=True)
class Screened:
    """What is known of a candidate without training it.

    parameters, flops: of the model that would be trained.
    scores: by name, the one to search by first; all finite.
    measures: whatever else a job measures, by name.
    """

    parameters: int
    flops: int
    scores: dict[str, float]
    seconds: float
    measures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Trained:
    """What a rung yields: the mean training loss, the validation, the checkpoint, the time.

    measures: whatever else a job measures of the trained model, by name.
    """

    step: int
    train_loss: float
    validation: Measured
    checkpoint: bytes
    seconds: float
    measures: Mapping[str, float] = field(default_factory=dict)


class Job(Protocol):
    """Sent once to every worker; its methods depend on nothing but their arguments."""

    @property
    def space(self) -> SearchSpace: ...

    def screen(
        self, candidates: list[tuple[int, Architecture]]
    ) -> list[Screened | CandidateFailed]:
        """Judge candidates, given by number, without training them."""
        ...

    def train(
        self, number: int, architecture: Architecture, until: int, checkpoint: bytes | None
    ) -> Trained | CandidateFailed:
        """Train one candidate up to step `until`, from its checkpoint where it has one."""
        ...
