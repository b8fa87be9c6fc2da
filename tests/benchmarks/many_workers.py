"""Measures how busy the driver keeps 1,000 workers whose candidates take a second each.

Run as `python tests/benchmarks/many_workers.py`. The workers are simulated: their clock advances by
the driver's own processor time, and jumps to the next result when the driver waits.
"""

import heapq
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np

from nas.core.executor import Done
from nas.core.job import Objective
from nas.core.registry import create_controller
from nas.loop.controller import Controller
from nas.loop.driver import Driver
from nas.loop.plan import Plan
from nas.loop.run_folder import RunFolder
from nas.loop.signals import Stop
from tests.benchmarks.soak import WidePerceptrons
from tests.loop.instant import InstantJob

WORKERS, SECONDS, CANDIDATES, BATCH, GOAL = 1000, 1.0, 40_000, 1, 0.95


class VirtualWorkers:
    """Workers on a virtual clock."""

    width = WORKERS

    def __init__(self) -> None:
        self.now, self.busy = 0.0, 0.0
        self._driver = time.process_time()
        self._free = [0.0] * WORKERS  # when each worker is free
        self._ends: list[tuple[float, int]] = []
        self._calls: dict = {}

    def share(self, value):
        return value

    def _tick(self) -> None:
        now = time.process_time()
        self.now += now - self._driver
        self._driver = now

    def submit(self, function, *arguments, resources):
        self._tick()
        handle, seconds = len(self._calls), SECONDS * resources.candidates
        begins = max(self.now, heapq.heappop(self._free))
        heapq.heappush(self._free, begins + seconds)
        heapq.heappush(self._ends, (begins + seconds, handle))
        self._calls[handle] = function, arguments
        self.busy += seconds
        return handle

    def wait(self, handles, seconds):
        self._tick()
        if self._ends[0][0] > self.now + seconds:
            self.now += seconds
            return []
        self.now = max(self.now, self._ends[0][0])
        found = []
        while self._ends and self._ends[0][0] <= self.now:
            _, handle = heapq.heappop(self._ends)
            function, arguments = self._calls[handle]
            found.append((handle, Done(function(*arguments))))
        self._driver = time.process_time()  # the results were computed by the workers
        return found

    def close(self) -> None: ...


def main() -> None:
    job = InstantJob(WidePerceptrons())
    guide = Objective("score", higher_is_better=True)
    plan = Plan(CANDIDATES, (1,), (1,), job.objective, guide=guide, batch=BATCH)
    sampler = create_controller("random", np.random.default_rng(0), {})
    workers = VirtualWorkers()
    with (
        tempfile.TemporaryDirectory() as folder,
        RunFolder.open(Path(folder) / "run", {}, plan.judged_by) as run,
    ):
        Driver(run, Controller(sampler, True), job, workers, plan).search(Stop(60, False))
    share = workers.busy / (WORKERS * workers.now)
    print(
        f"{CANDIDATES} candidates of {SECONDS:g} s on {WORKERS} workers, {BATCH} a call: "
        f"{workers.now:.1f} s, {share:.1%} busy (goal {GOAL:.0%})"
    )


if __name__ == "__main__":
    main()
