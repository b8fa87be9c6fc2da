"""A run as its report and its caller see it."""

from dataclasses import dataclass

from nas.loop.candidate import Candidate
from nas.loop.objectives import pareto_front


@dataclass(frozen=True, slots=True)
class RunSummary:
    """Everything of a run but the weights.

    metric, higher_is_better: of the task.
    scores: name of each training-free score → whether higher is better, the guiding one first.
    seconds: of all drivers together.
    finished: False for a run that was interrupted or is under way.
    command: the command line that last worked on it.
    objectives: what the controller was told, of a search that follows several.
    """

    name: str
    space: str
    controller: str
    task: str
    metric: str
    higher_is_better: bool
    scores: dict[str, bool]
    candidates: tuple[Candidate, ...]
    seconds: float
    finished: bool
    command: str
    objectives: tuple[str, ...] = ()

    @property
    def score_names(self) -> list[str]:
        """The names of all values that candidates have, such as one a layer."""
        return list(dict.fromkeys(name for c in self.candidates for name in c.scores))

    @property
    def front(self) -> list[Candidate]:
        """The Pareto front by the objectives, lowest loss first; empty where there is one only."""
        return pareto_front(self.candidates, self.objectives) if len(self.objectives) > 1 else []
