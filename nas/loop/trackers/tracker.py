"""The interface of trackers, and what they are told about a run and its candidates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from nas.core.job import Objective
from nas.loop.candidate import Candidate


@dataclass(frozen=True)
class Tracked:
    """A run as trackers know it.

    folder: the run's folder. kind: the verb, for example "search".
    objective, metric: what candidates are ranked by, and the task's metric.
    settings: by dotted name.
    """

    folder: Path
    kind: str
    objective: Objective
    metric: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.folder.name


class Tracker(Protocol):
    """A place where a run's numbers go.

    id: the run's name there, with which a resumed run continues; None if it needs none.
    """

    @property
    def id(self) -> str | None: ...

    def best(self, name: str, value: float, step: int) -> None:
        """Receive a new best value of the whole run."""
        ...

    def trained(self, candidate: Candidate, known: int) -> None:
        """Receive a candidate with all its rungs, of which it has received `known` before."""
        ...

    def picture(self, png: bytes) -> None:
        """Receive the graph of the best architecture."""
        ...

    def close(self, finished: bool) -> None: ...


def series(run: Tracked, candidate: Candidate) -> list[tuple[int, dict[str, float]]]:
    """Return the candidate's curves: (step, value by name) after each rung."""
    return [
        (
            rung.step,
            {
                name: value
                for name, value in {
                    run.objective.name: rung.objective,
                    "validation/loss": rung.loss,
                    f"validation/{run.metric}": rung.metric,
                    "train/loss": rung.train_loss,
                }.items()
                if value is not None
            },
        )
        for rung in candidate.rungs
    ]


def facts(candidate: Candidate) -> dict[str, Any]:
    """Return what is known of a candidate besides its curves: sizes, scores, tuned settings."""
    values = {
        "digest": candidate.digest,
        "parameters": candidate.parameters,
        "flops": candidate.flops,
        **candidate.scores,
        **dict(candidate.architecture.settings),
    }
    return {name: value for name, value in values.items() if value is not None}


def label(candidate: Candidate) -> str:
    """Return the candidate's name in every tracker.

    >>> from search_spaces.architecture import Architecture
    >>> label(Candidate(7, Architecture("space", ())))
    'candidate-0007'
    """
    return f"candidate-{candidate.number:04d}"


def plain_names(values: Mapping[str, float], also: Sequence[str] = (" ", "/")) -> dict[str, float]:
    """Return the values under names of letters, digits, `_`, `-`, `.` and `also` only."""
    return {
        "".join(c if c.isalnum() or c in ("_", "-", ".", *also) else "_" for c in name): value
        for name, value in values.items()
    }
