"""The record of a candidate, which reports, exports and resumed runs read."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import create_model

from nas.core.errors import BadInput
from nas.core.files import read_text, undamaged
from nas.core.job import Objective, Screened, Trained
from nas.core.json_text import parse_json
from nas.core.masking import masked
from nas.core.memory import many_objects
from search_spaces.architecture import Architecture
from search_spaces.decisions import Answer

RESULT_REMEDY = "delete it, and the command of the run evaluates this candidate again"


@dataclass(frozen=True, slots=True)
class Rung:
    """One stretch of a candidate's training.

    step: optimiser steps since the start of training.
    objective: the job's objective after that step; loss, metric: on the validation data.
    train_loss: the mean over the stretch; None for a job without a training loss.
    seconds: the time of this stretch, including validation.
    checkpoint: the file's path, relative to the run's folder.
    """

    step: int
    objective: float
    loss: float
    metric: float
    train_loss: float | None
    seconds: float
    checkpoint: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """One architecture that a controller proposed.

    number: its number in the run.
    parameters, flops: the trained model's size, and its cost per step of one sequence.
    scores: training-free scores by name.
    measures: the job's other measurements by name, from screening and training.
    failed: "stage: reason"; None unless it failed.
    duplicate_of: the number of an earlier candidate with the same digest.
    rungs: its training so far; empty if it was only screened.
    seconds: the time of all its evaluations.
    ended: the Unix time of its latest result; None before the first.
    decisions: the answers that made the architecture, by name; empty in records of versions that
        did not keep them.
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
    ended: float | None = None
    decisions: Mapping[str, Answer] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        return self.architecture.digest()

    def screened(self, result: Screened) -> "Candidate":
        """Return the candidate with a screening result."""
        return replace(
            self,
            parameters=result.parameters,
            flops=result.flops,
            scores=result.scores,
            measures=result.measures,
            seconds=result.seconds,
        )

    def trained(self, result: Trained, checkpoint: str) -> "Candidate":
        """Return the candidate with another rung, whose `checkpoint` is relative to the run."""
        rung = Rung(
            step=result.step,
            objective=result.objective,
            loss=result.validation.loss,
            metric=result.validation.metric,
            train_loss=result.train_loss,
            seconds=result.seconds,
            checkpoint=checkpoint,
        )
        return replace(
            self,
            rungs=(*self.rungs, rung),
            measures={**self.measures, **result.measures},
            seconds=self.seconds + result.seconds,
        )

    def failing(self, reason: str, seconds: float = 0.0) -> "Candidate":
        """Return the candidate, marked as failed."""
        return replace(self, failed=masked(reason), seconds=self.seconds + seconds)

    def with_results_of(self, original: "Candidate", with_rung: bool) -> "Candidate":
        """Return a duplicate with the original's results, and its first rung if `with_rung`."""
        return replace(
            original,
            number=self.number,
            architecture=self.architecture,
            decisions=self.decisions,
            rungs=original.rungs[:1] if with_rung else (),
            duplicate_of=original.number,
            seconds=self.seconds,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; `from_dict` reads them."""
        return {
            "number": self.number,
            "digest": self.digest,
            "architecture": self.architecture.to_data(),
            "parameters": self.parameters,
            "flops": self.flops,
            "scores": self.scores,
            "measures": dict(self.measures),
            "failed": self.failed,
            "duplicate_of": self.duplicate_of,
            "rungs": [asdict(rung) for rung in self.rungs],
            "seconds": self.seconds,
            "ended": self.ended,
            "decisions": dict(self.decisions),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Candidate":
        """Return the candidate that `to_dict` wrote; raises `ValueError` for anything else."""
        fields = dict(_FIELDS.model_validate(data))
        return cls(architecture=Architecture.from_data(data["architecture"]), **fields)


_HINTS = get_type_hints(Candidate)
_KINDS: dict[str, Any] = {n: (kind, ...) for n, kind in _HINTS.items() if n != "architecture"}
_KINDS["decisions"] = (_KINDS["decisions"][0], {})  # earlier versions did not record them
_FIELDS = create_model("Fields", **_KINDS)  # type: ignore[call-overload]


def read_result(path: Path) -> Candidate:
    """Return the candidate in a `result.json`; raises `BadInput` if the file is damaged."""
    data = parse_json(read_text(path, RESULT_REMEDY), str(path), RESULT_REMEDY)
    with undamaged(path, RESULT_REMEDY):
        return Candidate.from_dict(data)


def checkpoint_of(folder: Path, candidate: Candidate) -> Path:
    """Return the file of a candidate's last checkpoint; raises `BadInput` if it is elsewhere."""
    name = os.path.normpath(candidate.rungs[-1].checkpoint)
    if os.path.isabs(name) or name.startswith(os.pardir):
        raise BadInput(
            f"candidate {candidate.number} of {folder} names {name}, which is outside of the run: "
            "delete the candidate's result.json"
        )
    return folder / name


def candidates_in(folder: Path) -> tuple[Candidate, ...]:
    """The candidates of a run's folder that have a result, by number."""
    with many_objects():
        return tuple(map(read_result, sorted((folder / "trials").glob("*/result.json"))))


def best_first(candidates: Sequence[Candidate], objective: Objective) -> list[Candidate]:
    """Return the trained candidates that did not fail, the longest trained first, then the best."""
    trained = [c for c in candidates if c.rungs and c.failed is None]
    return sorted(trained, key=lambda c: (-c.rungs[-1].step, objective.cost(c.rungs[-1].objective)))
