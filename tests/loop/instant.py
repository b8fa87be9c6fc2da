"""A job that takes no time, for tests of the loop around it."""

import hashlib
from dataclasses import dataclass, field

from nas.core.job import Objective, Screened, Trained
from nas.core.task import Measured
from search_spaces.architecture import Architecture
from search_spaces.space import SearchSpace
from tests.toys import Perceptrons


def number_of(*parts: object) -> float:
    """Return a number in [0, 1) that depends only on the parts."""
    return int(hashlib.sha256(repr(parts).encode()).hexdigest()[:8], 16) / 2**32


@dataclass(frozen=True)
class InstantJob:
    """Its scores and losses are numbers drawn from the architecture's digest and the step."""

    space: SearchSpace = field(default_factory=Perceptrons)
    objective = Objective("validation loss", "nats")
    checkpoint_suffix = ".json"

    def screen(self, candidates: list[tuple[int, Architecture]]) -> list[Screened]:
        return [
            Screened(1, 1, {"score": number_of(architecture.digest())}, 0.0)
            for _, architecture in candidates
        ]

    def train(
        self, number: int, architecture: Architecture, until: int, checkpoint: bytes | None
    ) -> Trained:
        loss = number_of(architecture.digest(), number, until, checkpoint)
        return Trained(until, loss, Measured(loss, loss), str(loss).encode(), 0.0)
