"""Repeats a deterministic run from its record, so that it continues as if it had never stopped."""

from dataclasses import replace

from optuna.trial import FrozenTrial

from nas.loop.candidate import Candidate
from nas.loop.controller import Proposal
from nas.loop.run_folder import RunFolder


class Replay:
    """Gives the recorded candidates and results again, in place of new ones.

    A controller that makes the same proposals and receives the same results in the same order is in
    the same state as before the run was interrupted. Only proposals are computed again.

    trials: the recorded candidates to repeat, by number; none for a new run.
    differs: whether the controller made another proposal than the recorded one.
    """

    def __init__(self, run: RunFolder, trials: list[FrozenTrial]) -> None:
        self._run, self._trials = run, trials
        self._results = {trial.number: run.result(trial) for trial in trials}
        self._next = 0
        self.differs = False

    def add(self, proposal: Proposal) -> Candidate | None:
        """Return the recorded candidate of a proposal, or a new one after all of them.

        Returns None if the recorded candidate is another one.
        """
        if self._next == len(self._trials):
            return self._run.add(proposal)
        trial = self._trials[self._next]
        if trial.user_attrs["digest"] != proposal.architecture.digest():
            self.differs = True
            return None
        self._next += 1
        return Candidate(trial.number, proposal.architecture, decisions=dict(proposal.params))

    def rest(self) -> list[FrozenTrial]:
        """Return the recorded candidates that were not repeated, and end the replay."""
        rest, self._trials = self._trials[self._next :], self._trials[: self._next]
        self.differs = False
        return rest

    def result(self, number: int, until: int | None) -> Candidate | None:
        """Return a candidate as it was recorded after a call; None if the call must be made.

        until: the step until which the call trains; None for screening.
        """
        record = self._results.get(number)
        if record is None:
            return None
        failed_before = record.parameters is None
        rungs = tuple(rung for rung in record.rungs if until is not None and rung.step <= until)
        ended = until is None or any(rung.step == until for rung in rungs)
        is_last = len(rungs) == len(record.rungs)
        if not ended:
            return record if record.failed and is_last else None
        return replace(record, rungs=rungs, failed=record.failed if failed_before else None)

    def answered(self, number: int) -> Candidate | None:
        """Return the record of a duplicate that has received its original's results."""
        record = self._results.get(number)
        return record if record is not None and record.duplicate_of is not None else None
