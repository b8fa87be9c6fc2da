"""Calls in flight: what workers evaluate, and which calls to repeat after a worker dies."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from nas.core.executor import CandidateFailed, Done, Executor, Handle, Resources, WorkerLost
from nas.core.job import Job, Screened, Trained
from nas.loop.candidate import Candidate

ATTEMPTS = 4  # one attempt and three more before a candidate that kills its worker fails
POLL_SECONDS = 0.2

Result = Screened | Trained | CandidateFailed


@dataclass(frozen=True, slots=True)
class Call:
    """The candidates that a call evaluates, and the step until which it trains, if it does."""

    candidates: tuple[int, ...]
    until: int | None = None


class Calls:
    """Submits a job's calls to an executor, and repeats those whose worker died.

    candidate: returns a candidate by number. checkpoint: reads a checkpoint file.
    in_order: return results in the order of submission.
    training: the resources of one training call.
    """

    def __init__(
        self,
        executor: Executor,
        job: Job,
        candidate: Callable[[int], Candidate],
        checkpoint: Callable[[str], bytes],
        in_order: bool,
        training: Resources,
    ) -> None:
        self._executor = executor
        self._screen, self._train = type(job).screen, type(job).train
        self._job = executor.share(job)
        self._candidate, self._checkpoint = candidate, checkpoint
        self._in_order, self._training = in_order, training
        self._losses: dict[int, int] = {}  # candidate → workers that died evaluating it
        self._lost: deque[Call] = deque()
        self._in_flight: dict[Handle, Call] = {}

    def __len__(self) -> int:
        return len(self._in_flight)

    @property
    def are_enough(self) -> bool:
        """Whether every worker has a call, with another one waiting."""
        return len(self._in_flight) >= 2 * self._executor.width

    @property
    def has_lost(self) -> bool:
        """Whether lost calls are waiting to be submitted again."""
        return bool(self._lost)

    def repeat(self, call: Call) -> None:
        """Submit this call before any new one."""
        self._lost.append(call)

    def take_lost(self) -> Iterator[Call]:
        """Yield the lost calls, which must be submitted again."""
        while self._lost:
            yield self._lost.popleft()

    def submit(self, call: Call) -> None:
        first = self._candidate(call.candidates[0])
        if call.until is None:
            work = [(n, self._candidate(n).architecture) for n in call.candidates]
            handle = self._executor.submit(self._screen, self._job, work, resources=Resources())
        else:
            checkpoint = self._checkpoint(first.rungs[-1].checkpoint) if first.rungs else None
            handle = self._executor.submit(
                self._train,
                self._job,
                first.number,
                first.architecture,
                call.until,
                checkpoint,
                resources=self._training,
            )
        self._in_flight[handle] = call

    def results(self) -> Iterator[tuple[int, Result]]:
        """Yield the results that arrive within a fraction of a second, by candidate number."""
        handles = list(self._in_flight)
        waited = handles[:1] if self._in_order else handles
        for handle, outcome in self._executor.wait(waited, POLL_SECONDS):
            call = self._in_flight.pop(handle)
            if isinstance(outcome, WorkerLost):
                yield from self._repeated(call, outcome.reason)
            elif isinstance(outcome, Done):
                values = outcome.value if call.until is None else [outcome.value]
                yield from zip(call.candidates, values, strict=True)
            else:
                yield from ((number, outcome) for number in call.candidates)

    def _repeated(self, call: Call, reason: str) -> Iterator[tuple[int, CandidateFailed]]:
        """Queue each candidate of a lost call again, alone, to find the one at fault."""
        for number in call.candidates:
            self._losses[number] = self._losses.get(number, 0) + 1
            if self._losses[number] < ATTEMPTS:
                self._lost.append(Call((number,), call.until))
            else:
                text = f"{ATTEMPTS} workers died while evaluating it ({reason})"
                yield number, CandidateFailed("poison", text)
