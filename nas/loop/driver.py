"""The loop of every job: propose, screen without training, train the survivors in rungs, record."""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from optuna.trial import FrozenTrial

from nas.core.errors import Interrupted
from nas.core.executor import (
    CandidateFailed,
    Done,
    Executor,
    Handle,
    Outcome,
    Resources,
    WorkerLost,
)
from nas.core.job import Job, Screened, Trained
from nas.loop.candidate import Candidate
from nas.loop.controller import Proposal, Proposer
from nas.loop.halving import climbing, promoted
from nas.loop.plan import Plan
from nas.loop.results import with_failure, with_results_of, with_screening, with_training
from nas.loop.run_folder import Run
from nas.loop.signals import Stop
from search_spaces.architecture import Architecture

ATTEMPTS = 4  # the first and three more; then what kills its worker is called poison
REDRAWS = 20  # of a proposal that is already answered, before it counts as a candidate
POLL_SECONDS = 0.2


class Watcher(Protocol):
    """Is told of every new result, and regularly that time goes by."""

    def update(self, candidate: Candidate) -> None: ...

    def tick(self, in_flight: int) -> None: ...


@dataclass(frozen=True, slots=True)
class _Call:
    """The candidates that a submitted call evaluates, and up to which step if it trains."""

    candidates: list[int]
    until: int | None = None


class Driver:
    """Owns the controller, the run and the calls in flight; knows no job by name."""

    def __init__(
        self,
        run: Run,
        controller: Proposer,
        job: Job,
        executor: Executor,
        plan: Plan,
        watchers: Iterable[Watcher] = (),
        drawer: Proposer | None = None,
    ) -> None:
        """drawer: proposes the pool of a plan that has one."""
        self.run = run
        self.controller = controller
        self.drawer = drawer or controller
        self.job = job
        self.executor = executor
        self.plan = plan
        self.watchers = list(watchers)
        self.candidates: dict[int, Candidate] = {}
        self._shared = executor.share(job)
        self._tokens: dict[int, int] = {}  # of the candidates that the controller waits for
        self._originals: dict[str, int] = {}  # digest -> the first candidate that has it
        self._duplicates: dict[int, list[int]] = {}  # original -> those that wait for it
        self._losses: dict[int, int] = {}  # workers that died evaluating a candidate
        self._unscreened: set[int] = set()
        self._opening: list[int] | None = None  # of the pool, once it is screened
        self._in_training: set[int] = set()
        self._again: deque[_Call] = deque()  # calls to repeat before anything new
        self._in_flight: dict[Handle, _Call] = {}
        self._resume()

    def search(self, stop: Stop) -> None:
        """Work until the plan is done; raises `Interrupted` when a signal ends it before."""
        while True:
            if stop.signal_number is None:
                self._fill()
            if not self._in_flight:
                if stop.signal_number is None and self._work_is_left():
                    continue  # the last proposals were answered at once, and promote others
                break
            for handle, outcome in self._wait():
                self._take(self._in_flight.pop(handle), outcome)
            if stop.overdue and stop.signal_number is not None:
                raise Interrupted(stop.signal_number)
            for watcher in self.watchers:
                watcher.tick(len(self._in_flight))
        if stop.signal_number is not None and self._work_is_left():
            raise Interrupted(stop.signal_number)
        for candidate in self.candidates.values():
            self.run.finish(candidate, self.plan.steps[-1])

    def _resume(self) -> None:
        """Take in what the run's record holds; what has no result is evaluated again."""
        trials = self.run.trials()
        for trial in trials[: self.plan.pool]:
            self._take_up(trial)
        self._open()
        for trial in trials[self.plan.pool :]:
            self._take_up(trial)

    def _take_up(self, trial: FrozenTrial) -> None:
        """A candidate of the record, which is evaluated again if it has no result."""
        number, result = trial.number, self.run.result(trial)
        candidate = result or Candidate(
            number, Architecture.from_json(trial.user_attrs["architecture"])
        )
        self.candidates[number] = candidate
        if self._opening is not None:
            self._introduce(candidate)
        if result is not None:
            self._originals.setdefault(candidate.digest, number)
            self._offer(result)
            self._show(result)
        elif self._is_new(candidate):
            self._unscreened.add(number)
            self._again.append(_Call([number]))

    def _introduce(self, candidate: Candidate) -> None:
        """Let the controller know a candidate of the pool or the record."""
        known = self.plan.is_told(candidate)
        trial = self.run.trial(candidate.number)
        token = self.controller.remember(trial, self.plan.value(candidate), known)
        if not known:
            self._tokens[candidate.number] = token

    def _open(self) -> None:
        """Make the best of the pool the controller's first proposals, once all is screened.

        The others are as if nobody had drawn them: whoever proposes one again has a new candidate.
        """
        pool = self.plan.pool
        if self._opening is not None or len(self.candidates) < pool:
            return
        if any(number < pool for number in self._unscreened):
            return
        ranks = self.plan.ranks(
            {
                n: candidate
                for n, candidate in self.candidates.items()
                if n < pool and candidate.scores and candidate.duplicate_of is None
            }
        )
        self._opening = promoted(ranks, 0, self.plan.opening)
        closed = ranks.keys() - set(self._opening)
        self._originals = {d: n for d, n in self._originals.items() if n not in closed}
        for number in self._opening:
            self._introduce(self.candidates[number])

    # -- what to do next ----------------------------------------------------------------------

    def _fill(self) -> None:
        """Keep the workers busy: lost calls first, then rungs, then new candidates."""
        while self._again:
            self._submit(self._again.popleft())
        self._open()
        for call in self._promotions():
            self._submit(call)
        while (wanted := self._wanted_now()) and len(self._in_flight) < 2 * self.executor.width:
            batch = self._propose(wanted)
            if batch:
                self._submit(_Call(batch))

    def _work_is_left(self) -> bool:
        return bool(self._proposals_left() or self._again or self._promotions())

    def _proposals_left(self) -> int:
        return self.plan.records - len(self.candidates)

    def _wanted_now(self) -> int:
        """How many proposals the next call screens; none while the last of the pool are."""
        if self._opening is None:
            return min(self.plan.batch, self.plan.pool - len(self.candidates))
        return min(self.plan.batch if self.plan.scored else 1, self._proposals_left())

    def _propose(self, wanted: int) -> list[int]:
        """New candidates; returns those that are no duplicates and must be evaluated."""
        new = []
        for _ in range(wanted):
            proposal = self._new_proposal()
            candidate = self.run.add(proposal)
            self.candidates[candidate.number] = candidate
            if self._opening is not None:
                self._tokens[candidate.number] = proposal.token
            if self._is_new(candidate):
                self._unscreened.add(candidate.number)
                new.append(candidate.number)
        return new

    def _new_proposal(self) -> Proposal:
        """A proposal that nothing is known of, if one comes within a few draws; who proposes is
        told of the others what the record says."""
        proposer = self.drawer if self._opening is None else self.controller
        proposal = proposer.propose(self.job.space)
        for _ in range(REDRAWS):
            original = self._originals.get(proposal.architecture.digest())
            if original is None or self._is_awaited(original):
                break
            proposer.tell(proposal.token, self.plan.value(self.candidates[original]))
            proposal = proposer.propose(self.job.space)
        return proposal

    def _is_awaited(self, number: int) -> bool:
        return number in self._tokens or number in self._unscreened

    def _is_new(self, candidate: Candidate) -> bool:
        """Whether nothing is known of an equal one; if not, it gets that one's result."""
        original = self._originals.setdefault(candidate.digest, candidate.number)
        if original == candidate.number:
            return True
        if self._is_awaited(original):
            self._duplicates.setdefault(original, []).append(candidate.number)
        else:
            self._answer(candidate.number, original)
        return False

    def _promotions(self) -> list[_Call]:
        """Training calls for those that are sure of a place in a rung and not yet there."""
        unfinished = self._proposals_left() + len(self._unscreened)
        if self._opening is None or (unfinished and self.plan.scored and self.plan.rank_sum):
            return []  # a newcomer may turn the order of two sums of ranks about
        values = {n: v for n, v in self._ranks().items() if _is_alive(self.candidates[n])}
        rungs = zip(self.plan.steps, self.plan.places, strict=True)
        due = climbing(values, self._losses_at, unfinished, rungs)
        return [_Call([n], step) for n, step in due if n not in self._in_training]

    def _ranks(self) -> Mapping[int, float]:
        """What ranks those that may train, lower first; equal for all who wait for losses.

        Those that failed in training keep theirs, or the others' would depend on when they failed.
        """
        ranked = {
            n: candidate
            for n, candidate in self.candidates.items()
            if candidate.parameters is not None
            and candidate.duplicate_of is None
            and not self._is_in_the_pool(n)
        }
        return self.plan.ranks(ranked) if self.plan.scored else dict.fromkeys(ranked, 0.0)

    def _losses_at(self, step: int) -> dict[int, float]:
        return {
            n: rung.loss
            for n, candidate in self.candidates.items()
            if _is_alive(candidate)
            for rung in candidate.rungs
            if rung.step == step
        }

    # -- calls --------------------------------------------------------------------------------

    def _submit(self, call: _Call) -> None:
        first = self.candidates[call.candidates[0]]
        if call.until is None:
            work = [(n, self.candidates[n].architecture) for n in call.candidates]
            handle = self.executor.submit(
                type(self.job).screen, self._shared, work, resources=Resources()
            )
        else:
            self._in_training.add(first.number)
            checkpoint = (
                self.run.read_checkpoint(first.rungs[-1].checkpoint) if first.rungs else None
            )
            handle = self.executor.submit(
                type(self.job).train,
                self._shared,
                first.number,
                first.architecture,
                call.until,
                checkpoint,
                resources=self.plan.training,
            )
        self._in_flight[handle] = call

    def _wait(self) -> list[tuple[Handle, Outcome]]:
        handles = list(self._in_flight)
        if self.plan.deterministic:
            handles = handles[:1]
        return self.executor.wait(handles, POLL_SECONDS)

    def _take(self, call: _Call, outcome: Outcome) -> None:
        """Record what came of a call."""
        if isinstance(outcome, WorkerLost):
            self._repeat(call, outcome.reason)
            return
        if isinstance(outcome, Done):
            results = outcome.value if call.until is None else [outcome.value]
        else:
            results = [outcome] * len(call.candidates)
        for number, result in zip(call.candidates, results, strict=True):
            self._settle(number)
            if isinstance(result, CandidateFailed):
                self._fail(number, str(result), result.seconds)
            elif isinstance(result, Screened):
                self._screened(number, result)
            else:
                self._trained(number, result)

    def _repeat(self, call: _Call, reason: str) -> None:
        """Evaluate each candidate of a lost call once more, alone, to find the one at fault."""
        for number in call.candidates:
            self._losses[number] = self._losses.get(number, 0) + 1
            if self._losses[number] < ATTEMPTS:
                self._again.append(_Call([number], call.until))
            else:
                self._settle(number)
                self._fail(number, f"poison: {ATTEMPTS} workers died evaluating it ({reason})")

    def _settle(self, number: int) -> None:
        self._unscreened.discard(number)
        self._in_training.discard(number)

    # -- results ------------------------------------------------------------------------------

    def _screened(self, number: int, result: Screened) -> None:
        self._record(with_screening(self.candidates[number], result))
        self._offer(self.candidates[number])

    def _trained(self, number: int, result: Trained) -> None:
        name = self.run.write_checkpoint(number, result.step, result.checkpoint)
        self._record(with_training(self.candidates[number], result, name))

    def _fail(self, number: int, reason: str, seconds: float = 0.0) -> None:
        self._record(with_failure(self.candidates[number], reason, seconds))

    def _answer(self, number: int, original: int) -> None:
        """Give a duplicate what is known of the original."""
        known, candidate = self.candidates[original], self.candidates[number]
        self._record(with_results_of(known, candidate, with_rung=not self.plan.scored))

    def _record(self, candidate: Candidate) -> None:
        """Keep a result, then let the controller, its duplicates and the watchers know."""
        number = candidate.number
        self.candidates[number] = candidate
        self.run.write(candidate)
        self.run.show(candidate)
        if self.plan.is_told(candidate) or self._is_in_the_pool(number):
            token = self._tokens.pop(number, None)
            if token is not None:
                self.controller.tell(token, self.plan.value(candidate))
            elif candidate.failed and not self._is_in_the_pool(number):
                self.controller.tell_late_failure(self.run.trial(number))
            for duplicate in self._duplicates.pop(number, ()):
                self._answer(duplicate, number)
        self._show(candidate)

    def _is_in_the_pool(self, number: int) -> bool:
        """Whether it was drawn for the pool and is not among those that open the search."""
        return number < self.plan.pool and number not in (self._opening or ())

    def _offer(self, candidate: Candidate) -> None:
        """Let a controller that waits for losses know the scores meanwhile."""
        if candidate.scores and not self.plan.scored:
            self.controller.offer(self.run.trial(candidate.number), candidate.scores)

    def _show(self, candidate: Candidate) -> None:
        for watcher in self.watchers:
            watcher.update(candidate)


def _is_alive(candidate: Candidate) -> bool:
    return candidate.failed is None and candidate.duplicate_of is None
