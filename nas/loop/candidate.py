"""What is known of a candidate: the record that reports, exports and resumed runs read."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from search_spaces.architecture import Architecture


@dataclass(frozen=True, slots=True)
class Rung:
    """One stretch of a candidate's training.

    step: optimiser steps since the beginning.
    loss, metric: on the validation data after that step.
    train_loss: mean over the stretch.
    seconds: of this stretch, evaluation included.
    checkpoint: file, relative to the run's folder.
    """

    step: int
    loss: float
    metric: float
    train_loss: float
    seconds: float
    checkpoint: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """One architecture that a controller proposed.

    number: its number in the run.
    parameters, flops: of the model that is trained; flops of one step of one sequence.
    scores: training-free scores by name.
    measures: what a job measured beside scores and losses, by name; training adds to screening.
    failed: "stage: reason", None while nothing went wrong.
    duplicate_of: the number of an earlier candidate with the same digest.
    rungs: its training so far; empty when it was only screened.
    seconds: of all its evaluation.
    """

    number: int
    architecture: Architecture
    parameters: int | None = None
    flops: int | None = None
    scores: dict[str, float] = field(default_factory=dict)
    measures: Mapping[str, float] = field(default_factory=dict)
    failed: str | None = None
    duplicate_of: int | None = None
    rungs: tuple[Rung, ...] = ()
    seconds: float = 0.0

    @property
    def digest(self) -> str:
        return self.architecture.digest()

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `from_dict` reads them again."""
        return {
            "number": self.number,
            "digest": self.digest,
            "architecture": {"space": self.architecture.space, "spec": self.architecture.spec},
            "parameters": self.parameters,
            "flops": self.flops,
            "scores": self.scores,
            "measures": dict(self.measures),
            "failed": self.failed,
            "duplicate_of": self.duplicate_of,
            "rungs": [asdict(rung) for rung in self.rungs],
            "seconds": self.seconds,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Candidate":
        """The candidate that `to_dict` wrote."""
        fields = {key: value for key, value in data.items() if key != "digest"}
        fields["architecture"] = Architecture.from_json(json.dumps(data["architecture"]))
        fields["rungs"] = tuple(Rung(**rung) for rung in data["rungs"])
        return cls(**fields)


def best_first(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The trained candidates, those trained longest first, of these the lowest loss first."""
    trained = [c for c in candidates if c.rungs and c.failed is None]
    return sorted(trained, key=lambda c: (-c.rungs[-1].step, c.rungs[-1].loss))
