"""Everything that a small space holds, once: its controller, and a driver that does it all."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from optuna.trial import FixedTrial, FrozenTrial

from nas.core.errors import BadInput
from nas.core.executor import Executor, Resources
from nas.core.job import Job
from nas.core.settings import Execution
from nas.loop.candidate import Candidate
from nas.loop.controller import Proposal, Told
from nas.loop.driver import Driver, Watcher
from nas.loop.plan import Plan
from nas.loop.progress import Progress
from nas.loop.run_folder import Run
from nas.loop.signals import Stop
from search_spaces.architecture import Architecture
from search_spaces.decisions import Answers, enumerated, from_trial
from search_spaces.space import SearchSpace


class Grid:
    """Proposes every architecture of a space in the order of its decisions.

    What a run remembers is not proposed again, whatever came of it: a resumed grid is complete.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._left: dict[str, tuple[Architecture, Answers]] = {
            architecture.digest(): (architecture, dict(answers))
            for architecture, answers in enumerated(space.decide)
        }
        self.size = len(self._left)
        self._proposed = 0

    def propose(self, space: SearchSpace) -> Proposal:
        """The next one; raises `BadInput` when none is left."""
        if not self._left:
            raise BadInput(f"all {self.size} architectures of {space.name} are proposed")
        architecture, answers = self._left.pop(next(iter(self._left)))
        params: dict[str, Any] = dict(answers)
        trial = FixedTrial(params)
        space.decide(from_trial(trial))
        return Proposal(architecture, params, trial.distributions, self._token())

    def enqueue(self, answers: Mapping[str, Any]) -> None:
        """Changes nothing: everything is proposed anyway, in its own order."""

    def tell(self, token: int, value: Told) -> None:
        """Nothing is learnt."""

    def tell_late_failure(self, trial: FrozenTrial) -> None:
        """Nothing is learnt."""

    def offer(self, trial: FrozenTrial, scores: Mapping[str, float]) -> None:
        """Nothing is learnt."""

    def remember(self, trial: FrozenTrial, value: Told, evaluated: bool) -> int:
        self._left.pop(trial.user_attrs["digest"], None)
        return self._token()

    def _token(self) -> int:
        self._proposed += 1
        return self._proposed


class Shown(NamedTuple):
    """Who is told how a grid gets on, and by which metric of a row."""

    title: str
    metric: str
    watchers: Sequence[Watcher]


def whole_grid(
    run: Run,
    job: Job,
    executor: Executor,
    stop: Stop,
    execution: Execution,
    steps: int,
    shown: Shown,
) -> list[Candidate]:
    """Every architecture of the job's space, screened and trained for so many steps, by number."""
    grid = Grid(job.space)
    plan = Plan(
        candidates=grid.size,
        steps=(steps,),
        places=(grid.size,),
        batch=1,
        deterministic=execution.deterministic,
        training=Resources(gpus=execution.gpus_per_survivor),
    )
    progress = Progress(grid.size, grid.size, shown.metric, title=shown.title)
    driver = Driver(run, grid, job, executor, plan, [progress, *shown.watchers])
    with progress:
        driver.search(stop)
    return [driver.candidates[number] for number in sorted(driver.candidates)]
