"""The loop of every job: propose, screen without training, train the survivors in rungs, record."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Protocol

from nas.controller import Proposal, Proposer
from nas.errors import Interrupted
from nas.execution.executor import (
    CandidateFailed,
    Done,
    Executor,
    Handle,
    Outcome,
    Resources,
    WorkerLost,
)
from nas.halving import promoted
from nas.jobs.job import Job, Screened
from nas.record import Candidate, Rung
from nas.run import Run
from nas.signals import Stop
from nas.training import Trained
from search_spaces.architecture import Architecture

ATTEMPTS = 4  # the first and three more; then what kills its worker is called poison
REDRAWS = 20  # of a proposal that is already answered, before it counts as a candidate
POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is done.

    candidates: valid proposals in all, duplicates included.
    steps: training steps at the end of each rung.
    places: how many candidates train in each rung.
    batch: candidates screened by one call.
    scored: the controller is told the first training-free score; else the first rung's loss.
    higher_is_better: of that score.
    deterministic: results are taken in the order in which they were asked for.
    training: what one training call needs.
    """

    candidates: int
    steps: tuple[int, ...]
    places: tuple[int, ...]
    batch: int = 4
    scored: bool = True
    higher_is_better: bool = True
    deterministic: bool = False
    training: Resources = field(default_factory=Resources)


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
    ) -> None:
        self.run = run
        self.controller = controller
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
        for trial in self.run.trials():
            number, result = trial.number, self.run.result(trial)
            candidate = result or Candidate(
                number, Architecture.from_json(trial.user_attrs["architecture"])
            )
            self.candidates[number] = candidate
            known = self._is_told(candidate)
            token = self.controller.remember(trial, self._value(candidate), known)
            if not known:
                self._tokens[number] = token
            if result is not None:
                self._originals.setdefault(candidate.digest, number)
                self._show(result)
            elif self._is_new(candidate):
                self._unscreened.add(number)
                self._again.append(_Call([number]))

    # -- what to do next ----------------------------------------------------------------------

    def _fill(self) -> None:
        """Keep the workers busy: lost calls first, then rungs, then new candidates."""
        while self._again:
            self._submit(self._again.popleft())
        for call in self._promotions():
            self._submit(call)
        while self._proposals_left() and len(self._in_flight) < 2 * self.executor.width:
            batch = self._propose(min(self.plan.batch, self._proposals_left()))
            if batch:
                self._submit(_Call(batch))

    def _work_is_left(self) -> bool:
        return bool(self._proposals_left() or self._again or self._promotions())

    def _proposals_left(self) -> int:
        return self.plan.candidates - len(self.candidates)

    def _propose(self, wanted: int) -> list[int]:
        """New candidates; returns those that are no duplicates and must be evaluated."""
        new = []
        for _ in range(wanted):
            proposal = self._new_proposal()
            candidate = self.run.add(proposal)
            self.candidates[candidate.number] = candidate
            self._tokens[candidate.number] = proposal.token
            if self._is_new(candidate):
                self._unscreened.add(candidate.number)
                new.append(candidate.number)
        return new

    def _new_proposal(self) -> Proposal:
        """A proposal that nothing is known of, if one comes within a few draws; the controller
        is told of the others what the record says."""
        proposal = self.controller.propose(self.job.space)
        for _ in range(REDRAWS):
            original = self._originals.get(proposal.architecture.digest())
            if original is None or original in self._tokens:
                break
            self.controller.tell(proposal.token, self._value(self.candidates[original]))
            proposal = self.controller.propose(self.job.space)
        return proposal

    def _is_new(self, candidate: Candidate) -> bool:
        """Whether nothing is known of an equal one; if not, it gets that one's result."""
        original = self._originals.setdefault(candidate.digest, candidate.number)
        if original == candidate.number:
            return True
        if original in self._tokens:
            self._duplicates.setdefault(original, []).append(candidate.number)
        else:
            self._answer(candidate.number, original)
        return False

    def _promotions(self) -> list[_Call]:
        """Training calls for those that are sure of a place in a rung and not yet there."""
        unfinished = self._proposals_left() + len(self._unscreened)
        if unfinished >= self.plan.places[0]:
            return []
        calls = []
        values = {
            n: self._screen_value(candidate)
            for n, candidate in self.candidates.items()
            if candidate.parameters is not None and _is_alive(candidate)
        }
        for step, places in zip(self.plan.steps, self.plan.places, strict=True):
            going = promoted(values, unfinished, places)
            attainable = min(places, len(values) + unfinished)
            losses = self._losses_at(step)
            calls += [
                _Call([n], step) for n in going if n not in losses and n not in self._in_training
            ]
            unfinished = attainable - sum(n in losses for n in going)
            values = losses
        return calls

    def _screen_value(self, candidate: Candidate) -> float:
        """What ranks screened candidates, lower first; without a score all are equal."""
        if not self.plan.scored:
            return 0.0
        score = next(iter(candidate.scores.values()))
        return -score if self.plan.higher_is_better else score

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
        self._record(
            replace(
                self.candidates[number],
                parameters=result.parameters,
                flops=result.flops,
                scores=result.scores,
                measures=result.measures,
                seconds=result.seconds,
            )
        )

    def _trained(self, number: int, result: Trained) -> None:
        candidate = self.candidates[number]
        name = self.run.write_checkpoint(number, result.step, result.checkpoint)
        rung = Rung(
            step=result.step,
            loss=result.validation.loss,
            metric=result.validation.metric,
            train_loss=result.train_loss,
            seconds=result.seconds,
            checkpoint=name,
        )
        self._record(
            replace(
                candidate,
                rungs=(*candidate.rungs, rung),
                measures={**candidate.measures, **result.measures},
                seconds=candidate.seconds + result.seconds,
            )
        )

    def _fail(self, number: int, reason: str, seconds: float = 0.0) -> None:
        candidate = self.candidates[number]
        self._record(replace(candidate, failed=reason, seconds=candidate.seconds + seconds))

    def _answer(self, number: int, original: int) -> None:
        """Give a duplicate what is known of the original."""
        known = self.candidates[original]
        self._record(
            replace(
                self.candidates[number],
                parameters=known.parameters,
                flops=known.flops,
                scores=known.scores,
                measures=known.measures,
                failed=known.failed,
                rungs=() if self.plan.scored else known.rungs[:1],
                duplicate_of=original,
            )
        )

    def _record(self, candidate: Candidate) -> None:
        """Keep a result, then let the controller, its duplicates and the watchers know."""
        number = candidate.number
        self.candidates[number] = candidate
        self.run.write(candidate)
        self.run.show(candidate)
        if self._is_told(candidate):
            token = self._tokens.pop(number, None)
            if token is not None:
                self.controller.tell(token, self._value(candidate))
            elif candidate.failed:
                self.controller.tell_late_failure(self.run.trial(number))
            for duplicate in self._duplicates.pop(number, ()):
                self._answer(duplicate, number)
        self._show(candidate)

    def _show(self, candidate: Candidate) -> None:
        for watcher in self.watchers:
            watcher.update(candidate)

    def _is_told(self, candidate: Candidate) -> bool:
        """Whether there is something to tell the controller of a candidate."""
        told = candidate.scores if self.plan.scored else candidate.rungs
        return bool(told or candidate.failed)

    def _value(self, candidate: Candidate) -> float | None:
        """What the controller is told; None for a failure or while nothing is known."""
        if candidate.failed or not self._is_told(candidate):
            return None
        return (
            next(iter(candidate.scores.values())) if self.plan.scored else candidate.rungs[0].loss
        )


def _is_alive(candidate: Candidate) -> bool:
    return candidate.failed is None and candidate.duplicate_of is None
