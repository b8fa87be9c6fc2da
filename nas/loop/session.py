"""Opens what every job needs: run folder, trackers, executor, signals, progress, driver."""

import errno
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nas.core.errors import NasError
from nas.core.executor import Executor, Resources
from nas.core.job import Job, Objective
from nas.core.registry import create_controller
from nas.core.settings import RunSettings, flat
from nas.execution.choice import executor_of
from nas.loop.candidate import Candidate
from nas.loop.controller import Controller, Proposer
from nas.loop.driver import Driver, Watcher
from nas.loop.grid import Grid
from nas.loop.plan import Plan
from nas.loop.policy_file import first_controller, policy_of, save_policy
from nas.loop.progress import Progress
from nas.loop.run_file import RunFile, check_run_folder, keep_run_file, kept_settings
from nas.loop.run_folder import RunFolder
from nas.loop.signals import Stop, stop_on_signals
from nas.loop.trackers.tracker import Tracked
from nas.loop.trackers.tracking import Tracking, trackers_of

DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EIO}
CRASHES = (
    "if a candidate crashes it each time, add --set execution.isolate=true to record that "
    "candidate as failed"
)

MakeController = Callable[[int, Path | None], Controller]


@dataclass(frozen=True)
class Session:
    """An open run.

    about: the content of `run.json`. watchers: the caller's, besides progress and trackers.
    """

    settings: RunSettings
    about: RunFile
    run: RunFolder
    executor: Executor
    stop: Stop
    tracking: Tracking
    watchers: Sequence[Watcher]

    @property
    def training(self) -> Resources:
        """The resources of one training call."""
        return Resources(gpus=self.settings.execution.gpus_per_survivor)

    def search(
        self,
        job: Job,
        plan: Plan,
        make: MakeController,
        controller: str,
        policy: Path | None = None,
    ) -> list[Candidate]:
        """Search with a controller until the plan is done; returns the candidates by number.

        make: returns the controller for a number of trials and an optional policy file.
        controller: its name. policy: the policy file to start from and to update at the end.
        """
        was_over = self.run.is_over(plan.records)
        made = first_controller(self.run, policy, controller, make, plan.deterministic)
        trials = 0 if plan.deterministic else len(self.run.trials())
        drawer = _drawer(self.settings.seed, trials)
        found = self._drive(job, plan, made, drawer)
        if policy is not None and not was_over:
            save_policy(policy_of(made.sampler, controller), policy)
        return found

    def whole_grid(self, job: Job, steps: int) -> list[Candidate]:
        """Evaluate every architecture of the job's space, training each for `steps` steps."""
        grid = Grid(job.space)
        plan = Plan(
            candidates=grid.size,
            steps=(steps,),
            places=(grid.size,),
            objective=job.objective,
            batch=1,
            deterministic=self.settings.execution.deterministic,
            training=self.training,
        )
        return self._drive(job, plan, grid, grid)

    def _drive(
        self, job: Job, plan: Plan, controller: Proposer, drawer: Proposer
    ) -> list[Candidate]:
        progress = Progress(
            plan.records,
            sum(plan.places),
            self.about.metric,
            plan.objective,
            title=f"nas {self.about.kind}",
        )
        watchers = [progress, self.tracking, *self.watchers]
        driver = Driver(self.run, controller, job, self.executor, plan, watchers, drawer)
        with progress:
            return driver.search(self.stop)


@contextmanager
def open_session(
    settings: RunSettings,
    about: RunFile,
    judged_by: Sequence[Objective] = (),
    watchers: Sequence[Watcher] = (),
) -> Iterator[Session]:
    """Open a run for a job, or continue an existing one.

    judged_by: what candidates are judged by, if not only by the objective.
    Raises `RunLocked` while another driver has the run, and `BadInput` if the folder holds
    another run or the storage cannot be opened.
    """
    execution, judged = settings.execution, tuple(judged_by) or (about.objective,)
    guide = judged[0] if len(judged) == 1 and judged[0] != about.objective else None
    identity = {"kind": about.kind, **settings.identity()}
    check_run_folder(settings.run, about.kind)
    tracked = Tracked(
        settings.run, about.kind, about.objective, about.metric, flat(kept_settings(about.settings))
    )
    with (
        _errors_of_the_disk(settings.run),
        RunFolder.open(settings.run, identity, judged, settings.storage) as run,
        keep_run_file(run.folder, about) as died,
        Tracking(tracked, guide, trackers_of(tracked, guide, settings.track)) as tracking,
        executor_of(execution) as executor,
        stop_on_signals(execution.grace, execution.in_this_process) as stop,
    ):
        if died and execution.in_this_process:
            print(f"nas: the last driver of {settings.run} died; {CRASHES}", file=sys.stderr)
        yield Session(settings, about, run, executor, stop, tracking, watchers)


@contextmanager
def _errors_of_the_disk(folder: Path) -> Iterator[None]:
    """Turn an error from writing the run into one line; what is written stays whole."""
    try:
        yield
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        raise NasError(
            f"{folder} cannot be written ({error.strerror}): make room or get the right to write, "
            "then run the same command again to continue"
        ) from error


def _drawer(seed: int, trials: int) -> Controller:
    """Return a random controller for the pool, seeded also by the number of trials so far."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, trials, 1]))
    return Controller(create_controller("random", rng, {}), maximise=False)
