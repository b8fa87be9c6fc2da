"""The results of a search, for its report and its caller."""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from nas.core.errors import NasError
from nas.core.job import Objective
from nas.core.task import set_measure
from nas.jobs.search.config import SearchConfig
from nas.loop.candidate import Candidate, best_first, candidates_in
from nas.loop.constraints import excesses
from nas.loop.objectives import pareto_front
from nas.loop.run_file import read_run_file


@dataclass(frozen=True)
class SearchSummary:
    """The results of a search, without weights.

    folder: the run's folder. config: its settings.
    metric, higher_is_better: the task's metric and its direction.
    objective: what trained candidates are ranked by.
    scores: training-free score → whether higher is better; the guiding score is first.
    seconds: the time of all drivers together.
    finished: False if the run was interrupted or is still running.
    command: the last command line that worked on it.
    test_sets: the names of the task's further test data, see `nas.core.task.test_sets`.
    """

    folder: Path
    config: SearchConfig
    metric: str
    higher_is_better: bool
    objective: Objective
    scores: dict[str, bool]
    candidates: tuple[Candidate, ...]
    seconds: float
    finished: bool
    command: str
    test_sets: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def objectives(self) -> tuple[str, ...]:
        """The configured objectives; empty by default."""
        return self.config.objectives

    @property
    def score_names(self) -> list[str]:
        """The names of all score values; a score may have several, for example one per layer."""
        return list(dict.fromkeys(name for c in self.candidates for name in c.scores))

    @cached_property
    def unique(self) -> int:
        """The number of different architectures."""
        return len({c.digest for c in self.candidates})

    @property
    def best(self) -> list[Candidate]:
        """The trained candidates, best first."""
        return best_first(self.candidates, self.objective)

    @property
    def front(self) -> list[Candidate]:
        """The Pareto front, sorted by the first objective; empty for a single objective."""
        return pareto_front(self.candidates, self.objectives) if len(self.objectives) > 1 else []

    @property
    def tuned(self) -> list[str]:
        """The names of the settings that the candidates carry."""
        return list(dict.fromkeys(n for c in self.candidates for n, _ in c.architecture.settings))

    def missed(self, candidate: Candidate) -> str:
        """Return the constraints that a candidate misses, separated by commas."""
        return ",".join(excesses(self.config.constraints, candidate)) if self.config.where else ""

    def on_test_sets(self, candidate: Candidate) -> dict[str, float | None]:
        """Return a trained candidate's metric on each test set, None where it is not recorded."""
        return {name: candidate.measures.get(set_measure(name)) for name in self.test_sets}

    def check_trained(self) -> None:
        """Raise `NasError` with the most frequent reason if no candidate was trained."""
        if any(c.rungs for c in self.candidates):
            return
        if missed := sum(bool(self.missed(c)) for c in self.candidates):
            raise NasError(
                f"no candidate was trained: {missed} of {len(self.candidates)} miss a constraint "
                f"of {','.join(self.config.where)}: loosen --where, or propose more --candidates"
            )
        reasons = Counter(c.failed for c in self.candidates)
        reason, times = reasons.most_common(1)[0]
        raise NasError(
            f"no candidate could be trained; {times} of {len(self.candidates)} failed: {reason}"
        )


def read_search(folder: Path) -> SearchSummary:
    """Return a search's results, finished or not; raises `BadInput` if the folder has no run."""
    about = read_run_file(folder)
    return SearchSummary(
        folder=folder,
        config=SearchConfig.model_validate(about.settings),
        metric=about.metric,
        higher_is_better=about.higher_is_better,
        objective=about.objective,
        scores=about.details["scores"],
        candidates=candidates_in(folder),
        seconds=about.seconds,
        finished=about.finished,
        command=about.command,
        test_sets=tuple(about.details.get("test_sets", ())),
    )
