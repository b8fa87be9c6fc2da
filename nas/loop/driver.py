"""The loop of every job: propose, screen without training, train the survivors in rungs, record."""

import sys
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol

from optuna.trial import FrozenTrial

from nas.core.errors import BadInput, Interrupted
from nas.core.executor import CandidateFailed, Executor
from nas.core.job import Job, Screened
from nas.core.memory import many_objects
from nas.loop.calls import Call, Calls, Result
from nas.loop.candidate import Candidate
from nas.loop.controller import Proposer
from nas.loop.plan import Plan
from nas.loop.promotion import Promotion
from nas.loop.proposals import Proposals
from nas.loop.replay import Replay
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
        most = 2 * executor.width
        if plan.deterministic:  # the record depends on both, so they stay the same
            most, batch = run.kept("deterministic", [most, plan.batch])
            self.plan = plan = replace(plan, batch=batch)
        trials = run.trials()
        self._replay = Replay(run, trials if plan.deterministic else [])
        self._proposals = Proposals(
            self._replay.add,
            run,
            job,
            plan,
            self.candidates,
            controller,
            drawer or controller,
            self._answer,
        )
        self._calls = Calls(
            executor,
            job,
            self.candidates.__getitem__,
            run.read_checkpoint,
            self._replay.result,
            plan.deterministic,
            most,
            plan.training,
        )
        self._promotion = Promotion(plan)
        self._news: list[int] = []  # candidates with results that the promotion lacks
        self._repeated: deque[Call] = deque()  # calls of candidates that have no result yet
        self._due: deque[Call] = deque()
        if not plan.deterministic:
            self._take_up_all(trials)

    def search(self, stop: Stop) -> list[Candidate]:
        """Work until the plan is done; returns all candidates by number.

        Raises `Interrupted` if a signal ends it first.
        """
        while True:
            if stop.signal_number is None:
                with self.run.together():
                    self._fill()
            if not self._calls:
                if stop.signal_number is None and self._work_is_left():
                    continue  # duplicates of known candidates promoted others
                break
            with self.run.together():
                for number, result in self._calls.results():
                    self._take(number, result)
            if stop.overdue and stop.signal_number is not None:
                raise Interrupted(stop.signal_number)
            for watcher in self.watchers:
                watcher.tick(len(self._calls))
        if stop.signal_number is not None and self._work_is_left():
            raise Interrupted(stop.signal_number)
        found = [self.candidates[number] for number in sorted(self.candidates)]
        with self.run.together():
            for candidate in found:
                self.run.finish(candidate, self.plan.judgement(candidate))
        return found

    def _take_up_all(self, trials: list[FrozenTrial]) -> None:
        """Restore recorded candidates; those without a result are evaluated again."""
        with many_objects():
            for trial in trials:
                if self._proposals.opening is None:
                    self._proposals.open()
                self._take_up(trial)

    def _take_up(self, trial: FrozenTrial) -> None:
        """Restore a recorded candidate, and evaluate it again if it has no result."""
        number, result = trial.number, self.run.result(trial)
        candidate = result or Candidate(
            number,
            Architecture.from_json(trial.user_attrs["architecture"]),
            decisions=trial.params,
        )
        self.candidates[number] = candidate
        self._proposals.introduce(candidate)
        if result is not None:
            self._proposals.remember(result)
            self._proposals.offer(result)
            self._news.append(number)
            self._show(result)
        elif trial.state.is_finished():
            raise BadInput(
                f"{self.run.trial_folder(number) / 'result.json'} is missing, but the record says "
                "that the candidate is finished: restore the file, or pass another --run"
            )
        elif self._proposals.is_new(candidate):
            self._repeated.append(Call((number,)))

    def _fill(self) -> None:
        """Keep the workers busy: lost calls first, then rungs, then new candidates."""
        self._calls.submit_lost()
        while self._repeated:
            self._submit(self._repeated.popleft())
        self._proposals.open()
        self._promote()
        while self._due:
            self._submit(self._due.popleft())
        while (wanted := self._proposals.wanted_now()) and not self._calls.are_enough:
            if batch := self._proposals.propose(wanted):
                self._submit(Call(tuple(batch)))
            if self._replay.differs:
                self._end_replay()

    def _submit(self, call: Call) -> None:
        for number in call.candidates:
            self.run.start(number)
        self._calls.submit(call)

    def _work_is_left(self) -> bool:
        self._promote()
        calls = self._repeated or self._due or self._calls.has_lost
        return bool(self._proposals.left or calls)

    def _promote(self) -> None:
        """Add training calls for candidates that are newly certain to enter a rung."""
        if self._proposals.opening is None:
            return
        for number in self._news:
            if not self._proposals.is_in_the_pool(number):
                self._promotion.update(self.candidates[number])
        self._news.clear()
        unfinished = self._proposals.left + len(self._proposals.unscreened)
        self._due.extend(Call((n,), step) for n, step in self._promotion.due(unfinished))

    def _end_replay(self) -> None:
        """Continue a run whose record another version or budget made, like any other run."""
        print(
            f"nas: {self.run.folder} cannot be repeated exactly, because its budget, versions or "
            "--deterministic changed: it continues with the recorded candidates",
            file=sys.stderr,
        )
        self._take_up_all(self._replay.rest())

    def _take(self, number: int, result: Result) -> None:
        """Record a result."""
        self._proposals.unscreened.discard(number)
        candidate = self.candidates[number]
        if isinstance(result, Candidate):
            was_screened = candidate.parameters is not None
            self._pass_on(result)
            if not was_screened:
                self._proposals.offer(result)
        elif isinstance(result, CandidateFailed):
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
        if answered := self._replay.answered(number):
            self._pass_on(answered)
            return
        known, candidate = self.candidates[original], self.candidates[number]
        self._record(candidate.with_results_of(known, with_rung=not self.plan.guide))

    def _record(self, candidate: Candidate) -> None:
        """Save a result, then pass it on."""
        candidate = replace(candidate, ended=time.time())
        self.run.write(candidate)
        self.run.show(candidate)
        self._pass_on(candidate)

    def _pass_on(self, candidate: Candidate) -> None:
        """Pass a saved result to the controller, the duplicates and the watchers."""
        self.candidates[candidate.number] = candidate
        self._news.append(candidate.number)
        self._proposals.tell(candidate)
        self._show(candidate)

    def _show(self, candidate: Candidate) -> None:
        for watcher in self.watchers:
            watcher.update(candidate)
