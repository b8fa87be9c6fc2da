"""The loop of every job: propose, screen without training, train the survivors in rungs, record."""

import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol

from optuna.trial import FrozenTrial

from nas.core.errors import BadInput, Interrupted
from nas.core.executor import CandidateFailed, Executor
from nas.core.job import Job, Screened
from nas.loop.calls import Call, Calls, Result
from nas.loop.candidate import Candidate
from nas.loop.controller import Proposer
from nas.loop.plan import Plan
from nas.loop.promotion import due_to_train
from nas.loop.proposals import Proposals
from nas.loop.run_folder import RunFolder
from nas.loop.signals import Stop
from search_spaces.architecture import Architecture


class Watcher(Protocol):
    """Receives every new result, and a regular tick."""

    def update(self, candidate: Candidate) -> None: ...

    def tick(self, in_flight: int) -> None: ...


class Driver:
    """Runs any job: owns the controller, the run's folder and the calls in flight."""

    def __init__(
        self,
        run: RunFolder,
        controller: Proposer,
        job: Job,
        executor: Executor,
        plan: Plan,
        watchers: Iterable[Watcher] = (),
        drawer: Proposer | None = None,
    ) -> None:
        """Open the calls and resume the run.

        drawer: proposes the pool, if the plan has one.
        """
        self.run, self.job, self.plan = run, job, plan
        self.controller = controller
        self.watchers = list(watchers)
        self.candidates: dict[int, Candidate] = {}
        self._proposals = Proposals(
            run, job, plan, self.candidates, controller, drawer or controller, self._answer
        )
        self._calls = Calls(
            executor,
            job,
            self.candidates.__getitem__,
            run.read_checkpoint,
            plan.deterministic,
            plan.training,
        )
        self._in_training: set[int] = set()
        self._resume()

    def search(self, stop: Stop) -> list[Candidate]:
        """Work until the plan is done; returns all candidates by number.

        Raises `Interrupted` if a signal ends it first.
        """
        while True:
            if stop.signal_number is None:
                self._fill()
            if not self._calls:
                if stop.signal_number is None and self._work_is_left():
                    continue  # duplicates of known candidates promoted others
                break
            for number, result in self._calls.results():
                self._take(number, result)
            if stop.overdue and stop.signal_number is not None:
                raise Interrupted(stop.signal_number)
            for watcher in self.watchers:
                watcher.tick(len(self._calls))
        if stop.signal_number is not None and self._work_is_left():
            raise Interrupted(stop.signal_number)
        found = [self.candidates[number] for number in sorted(self.candidates)]
        for candidate in found:
            self.run.finish(candidate, self.plan.judgement(candidate))
        return found

    def _resume(self) -> None:
        """Restore the recorded candidates; those without a result are evaluated again."""
        trials = self.run.trials()
        for trial in trials[: self.plan.pool]:
            self._take_up(trial)
        self._proposals.open()
        for trial in trials[self.plan.pool :]:
            self._take_up(trial)

    def _take_up(self, trial: FrozenTrial) -> None:
        """Restore a recorded candidate, and evaluate it again if it has no result."""
        number, result = trial.number, self.run.result(trial)
        candidate = result or Candidate(
            number, Architecture.from_json(trial.user_attrs["architecture"])
        )
        self.candidates[number] = candidate
        self._proposals.introduce(candidate)
        if result is not None:
            self._proposals.remember(result)
            self._proposals.offer(result)
            self._show(result)
        elif trial.state.is_finished():
            raise BadInput(
                f"{self.run.trial_folder(number) / 'result.json'} is missing, but the record says "
                "that the candidate is finished: restore the file, or pass another --run"
            )
        elif self._proposals.is_new(candidate):
            self._calls.repeat(Call((number,)))

    def _fill(self) -> None:
        """Keep the workers busy: lost calls first, then rungs, then new candidates."""
        for call in self._calls.take_lost():
            self._submit(call)
        self._proposals.open()
        for call in self._promotions():
            self._submit(call)
        while (wanted := self._proposals.wanted_now()) and not self._calls.are_enough:
            if batch := self._proposals.propose(wanted):
                self._submit(Call(tuple(batch)))

    def _submit(self, call: Call) -> None:
        for number in call.candidates:
            self.run.start(number)
        if call.until is not None:
            self._in_training.update(call.candidates)
        self._calls.submit(call)

    def _work_is_left(self) -> bool:
        return bool(self._proposals.left or self._calls.has_lost or self._promotions())

    def _promotions(self) -> list[Call]:
        """Return training calls for candidates that are certain to enter a rung."""
        proposals = self._proposals
        if proposals.opening is None:
            return []
        unfinished = proposals.left + len(proposals.unscreened)
        may = {n: c for n, c in self.candidates.items() if not proposals.is_in_the_pool(n)}
        due = due_to_train(self.plan, may, unfinished)
        return [Call((n,), step) for n, step in due if n not in self._in_training]

    def _take(self, number: int, result: Result) -> None:
        """Record a result."""
        self._proposals.unscreened.discard(number)
        self._in_training.discard(number)
        candidate = self.candidates[number]
        if isinstance(result, CandidateFailed):
            self._record(candidate.failing(str(result), result.seconds))
        elif isinstance(result, Screened):
            self._record(candidate.screened(result))
            self._proposals.offer(self.candidates[number])
        else:
            suffix = self.job.checkpoint_suffix
            name = self.run.write_checkpoint(number, result.step, suffix, result.checkpoint)
            self._record(candidate.trained(result, name))

    def _answer(self, number: int, original: int) -> None:
        """Give a duplicate the original's results."""
        known, candidate = self.candidates[original], self.candidates[number]
        self._record(candidate.with_results_of(known, with_rung=not self.plan.guide))

    def _record(self, candidate: Candidate) -> None:
        """Save a result, then pass it to the controller, the duplicates and the watchers."""
        candidate = replace(candidate, ended=time.time())
        self.candidates[candidate.number] = candidate
        self.run.write(candidate)
        self.run.show(candidate)
        self._proposals.tell(candidate)
        self._show(candidate)

    def _show(self, candidate: Candidate) -> None:
        for watcher in self.watchers:
            watcher.update(candidate)
