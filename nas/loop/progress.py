"""Shows a run's progress: a live table on a terminal, otherwise a line every 10 s."""

import sys
import time
from collections.abc import Callable
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.table import Table

from nas.core.job import Objective
from nas.loop.candidate import Candidate, best_first

SECONDS_BETWEEN_LINES = 10.0
SUSPICIOUS_SECONDS, SUSPICIOUS_TIMES = 60.0, 10.0  # without a result; of the longest wait so far


class Progress:
    """Shows what is done, failed and in flight, the best so far and the time left.

    candidates: the number to screen. rungs: the number to train. metric: the task's metric.
    """

    def __init__(
        self,
        candidates: int,
        rungs: int,
        metric: str,
        objective: Objective,
        stream: TextIO = sys.stderr,
        clock: Callable[[], float] = time.monotonic,
        title: str = "nas search",
    ) -> None:
        self.title = title
        self.objective = objective
        self.wanted, self.rungs, self.metric = candidates, rungs, metric
        self.known: dict[int, Candidate] = {}
        self.in_flight = 0
        self._clock = clock
        self._started = self._last_line = clock()
        self._before = (0, 0)  # candidates and rungs that an earlier driver finished
        self._screened_at: float | None = None
        self._last_result, self._longest_wait, self._warned = self._started, 0.0, False
        self._stream = stream
        self._live = (
            Live(console=Console(file=stream), get_renderable=self._table, refresh_per_second=4)
            if stream.isatty()
            else None
        )

    def __enter__(self) -> "Progress":
        """Start the display; results received before were there when the run resumed."""
        self._before = (len(self.known), self._rungs_done())
        self._started = self._last_result = self._clock()
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()
        else:
            self._print_line()

    def update(self, candidate: Candidate) -> None:
        now = self._clock()
        self._longest_wait = max(self._longest_wait, now - self._last_result)
        self._last_result, self._warned = now, False
        self.known[candidate.number] = candidate
        if len(self.known) >= self.wanted and self._screened_at is None:
            self._screened_at = self._clock()

    def tick(self, in_flight: int) -> None:
        self.in_flight = in_flight
        now = self._clock()
        self._warn_of_waiting(now - self._last_result)
        if self._live is None and now - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = now
            self._print_line()

    def _warn_of_waiting(self, waited: float) -> None:
        """Name the time limit once, if a candidate may never end."""
        limit = max(SUSPICIOUS_SECONDS, SUSPICIOUS_TIMES * self._longest_wait)
        if self.in_flight and waited > limit and not self._warned:
            self._warned = True
            print(
                f"nas: no result for {waited:.0f} s; if a candidate never ends, press Ctrl-C and "
                "run the same command with --set execution.time_limit=SECONDS, which stops it",
                file=self._stream,
                flush=True,
            )

    def facts(self) -> dict[str, str]:
        """Return the entries of the line, or the rows of the table."""
        failed = sum(c.failed is not None for c in self.known.values())
        rungs_done = self._rungs_done()
        facts = {
            "screened": f"{len(self.known)}/{self.wanted}",
            "trained": f"{rungs_done}/{self.rungs} rungs",
            "failed": str(failed),
            "in flight": str(self.in_flight),
            "best": self._best(),
            "time": f"{self._clock() - self._started:.0f} s",
        }
        left = self._seconds_left(rungs_done)
        return facts if left is None else {**facts, "left": f"about {left:.0f} s"}

    def _best(self) -> str:
        trained = best_first(list(self.known.values()), self.objective)
        if trained:
            return f"{self.metric} {trained[0].rungs[-1].metric:.4g} (#{trained[0].number})"
        return "none trained yet"

    def _rungs_done(self) -> int:
        return sum(len(c.rungs) for c in self.known.values())

    def _seconds_left(self, rungs_done: int) -> float | None:
        """Estimate the time left from the pace of the current stage: screening, then training."""
        screened_before, rungs_before = self._before
        if self._screened_at is None:
            done, left, since = len(self.known), self.wanted - len(self.known), self._started
            done -= screened_before
        else:
            done, left = rungs_done - rungs_before, self.rungs - rungs_done
            since = max(self._screened_at, self._started)
        return (self._clock() - since) / done * left if done else None

    def _print_line(self) -> None:
        line = ", ".join(f"{name} {value}" for name, value in self.facts().items())
        print(line, file=self._stream, flush=True)

    def _table(self) -> Table:
        table = Table(show_header=False, title=self.title, title_justify="left")
        for name, value in self.facts().items():
            table.add_row(name, value)
        return table
