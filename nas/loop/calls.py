"""Calls in flight: what workers evaluate, and which calls to repeat after a fault."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from nas.core.executor import (
    CandidateFailed,
    Done,
    Executor,
    Handle,
    MachineFailed,
    MachineFault,
    Outcome,
    Resources,
    WorkerLost,
)
from nas.core.job import Job, Screened, Trained
from nas.loop.candidate import Candidate

ATTEMPTS = 4  # one attempt and three more before a candidate that kills its worker fails
MOST_FAULTS = 8  # calls in a row that the machine may fail before the run stops
LONGEST_PAUSE = 5.0  # seconds between two of them
POLL_SECONDS = 0.2

Result = Screened | Trained | CandidateFailed | Candidate  # a candidate if its result was recorded


@dataclass(frozen=True, slots=True)
class Call:
    """The candidates that a call evaluates, and the step until which it trains, if it does."""

    candidates: tuple[int, ...]
    until: int | None = None


@dataclass(slots=True, eq=False)
class _Submitted:
    """A call in the order of submission, with the results that are known so far."""

    call: Call
    results: dict[int, Result] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        return len(self.results) == len(self.call.candidates)


class Calls:
    """Submits a job's calls to an executor, and repeats those that a worker or machine lost.

    candidate: returns a candidate by number. checkpoint: reads a checkpoint file.
    known: returns the recorded result of a candidate (first argument) in a call, if there is one.
    in_order: return results in the order of submission, even if calls are repeated.
    most: how many calls to keep in flight.
    training: the resources of one training call.
    """

    def __init__(
        self,
        executor: Executor,
        job: Job,
        candidate: Callable[[int], Candidate],
        checkpoint: Callable[[str], bytes],
        known: Callable[[int, int | None], Candidate | None],
        in_order: bool,
        most: int,
        training: Resources,
    ) -> None:
        self._executor = executor
        self._screen, self._train = type(job).screen, type(job).train
        self._job = executor.share(job)
        self._candidate, self._checkpoint, self._known = candidate, checkpoint, known
        self._in_order, self._most, self._training = in_order, most, training
        self._losses: dict[int, int] = {}  # candidate → workers that died evaluating it
        self._faults = 0  # calls in a row that the machine failed
        self._lost: deque[tuple[_Submitted, Call]] = deque()
        self._order: deque[_Submitted] = deque()
        self._in_flight: dict[Handle, tuple[_Submitted, Call]] = {}

    def __bool__(self) -> bool:
        """Whether a result can still arrive without another submission."""
        return bool(self._in_flight) or self._is_first_complete

    def __len__(self) -> int:
        return len(self._in_flight)

    @property
    def are_enough(self) -> bool:
        """Whether every worker has a call, with another one waiting."""
        return len(self._order) >= self._most

    @property
    def has_lost(self) -> bool:
        """Whether lost calls are waiting to be submitted again."""
        return bool(self._lost)

    def submit(self, call: Call) -> None:
        """Evaluate the candidates of a call whose results are not recorded."""
        submitted = _Submitted(call)
        for number in call.candidates:
            if recorded := self._known(number, call.until):
                submitted.results[number] = recorded
        self._order.append(submitted)
        if left := tuple(n for n in call.candidates if n not in submitted.results):
            self._evaluate(submitted, Call(left, call.until))

    def submit_lost(self) -> None:
        """Submit the lost calls again."""
        while self._lost:
            self._evaluate(*self._lost.popleft())

    def results(self) -> Iterator[tuple[int, Result]]:
        """Yield the results that arrive within a fraction of a second, by candidate number.

        In order, these are the results of one call, so that what the driver does between two calls
        does not depend on their times.
        """
        if not self._is_first_complete:
            self._collect()
        for submitted in list(self._order)[: 1 if self._in_order else None]:
            if submitted.is_complete:
                self._order.remove(submitted)
                yield from ((n, submitted.results[n]) for n in submitted.call.candidates)

    @property
    def _is_first_complete(self) -> bool:
        return bool(self._order) and self._order[0].is_complete

    def _collect(self) -> None:
        """Wait for outcomes, and keep the results that they hold."""
        if not self._in_flight:
            return
        for handle, outcome in self._executor.wait(list(self._in_flight), POLL_SECONDS):
            submitted, part = self._in_flight.pop(handle)
            submitted.results.update(self._results_of(submitted, part, outcome))

    def _evaluate(self, submitted: _Submitted, part: Call) -> None:
        first = self._candidate(part.candidates[0])
        if part.until is None:
            work = [(n, self._candidate(n).architecture) for n in part.candidates]
            resources = Resources(candidates=len(work))
            handle = self._executor.submit(self._screen, self._job, work, resources=resources)
        else:
            checkpoint = self._checkpoint(first.rungs[-1].checkpoint) if first.rungs else None
            handle = self._executor.submit(
                self._train,
                self._job,
                first.number,
                first.architecture,
                part.until,
                checkpoint,
                resources=self._training,
            )
        self._in_flight[handle] = submitted, part

    def _results_of(
        self, submitted: _Submitted, part: Call, outcome: Outcome
    ) -> Iterator[tuple[int, Result]]:
        """Yield the results of an outcome; queues the candidates to evaluate again, each alone."""
        if isinstance(outcome, MachineFailed):
            self._pause(part, outcome.reason)
            self._lost.extend((submitted, Call((n,), part.until)) for n in part.candidates)
            return
        self._faults = 0
        if isinstance(outcome, WorkerLost):
            yield from self._repeated(submitted, part, outcome.reason)
        elif isinstance(outcome, Done):
            values = outcome.value if part.until is None else [outcome.value]
            yield from zip(part.candidates, values, strict=True)
        else:
            yield from ((number, outcome) for number in part.candidates)

    def _repeated(
        self, submitted: _Submitted, part: Call, reason: str
    ) -> Iterator[tuple[int, CandidateFailed]]:
        """Queue each candidate of a lost call again, alone, to find the one at fault."""
        for number in part.candidates:
            self._losses[number] = self._losses.get(number, 0) + 1
            if self._losses[number] < ATTEMPTS:
                self._lost.append((submitted, Call((number,), part.until)))
            else:
                text = f"{ATTEMPTS} workers died while evaluating it ({reason})"
                yield number, CandidateFailed("poison", text)

    def _pause(self, part: Call, reason: str) -> None:
        """Give the machine time to recover; raises `MachineFault` if it does not."""
        self._faults += 1
        if self._faults >= MOST_FAULTS:
            raise MachineFault(
                f"the machine failed {self._faults} evaluations in a row, the last of candidate "
                f"{part.candidates[0]} ({reason}): repair it, then run the same command again"
            )
        time.sleep(min(0.1 * 2**self._faults, LONGEST_PAUSE))
