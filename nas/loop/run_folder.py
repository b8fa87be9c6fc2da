"""A run's folder: its lock, its candidates and their results."""

import contextlib
import fcntl
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from nas.core.errors import BadInput, NasError, RunLocked
from nas.core.files import write_atomically
from nas.core.job import Objective
from nas.loop.candidate import Candidate, read_result
from nas.loop.controller import Proposal
from nas.loop.journal import ended_at, open_study, together

LOCK = "driver.lock"


class RunFolder:
    """The record of one run.

    Each candidate has an Optuna trial, written when it is proposed, and `trials/NNNN/result.json`,
    written before anyone else receives the result. A candidate with a trial but no result was
    being evaluated when a driver died. It is evaluated again with the same number and seed.
    """

    def __init__(self, folder: Path, storage: BaseStorage, study_id: int) -> None:
        self.folder = folder
        self._storage = storage
        self._study_id = study_id

    @classmethod
    @contextlib.contextmanager
    def open(
        cls,
        folder: Path,
        identity: Mapping[str, Any],
        objectives: Sequence[Objective],
        storage: str | None = None,
    ) -> Iterator["RunFolder"]:
        """Start or continue a run, and lock it until the context exits.

        identity: what must stay the same for a run to continue: space, task, scores, seed …
        objectives: what candidates are judged by.
        storage: an Optuna storage URL; None for a journal in the folder.
        Raises `RunLocked` while another driver has the run, and `BadInput` if the identity
        differs or the storage cannot be opened. A `BadInput` raised inside removes a new folder.
        """
        is_new = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / LOCK).open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RunLocked(
                    f"{folder} is in use by another `nas`: wait for it, or pass another --run"
                ) from None
            try:
                with open_study(folder, identity, objectives, storage) as study:
                    yield cls(folder, *study)
            except BadInput:
                if is_new:
                    shutil.rmtree(folder)
                raise

    def trials(self) -> list[FrozenTrial]:
        """Return the Optuna trials of all candidates, by number."""
        return self._storage.get_all_trials(self._study_id, deepcopy=False)

    def kept(self, name: str, value: Any) -> Any:
        """Return the value that the run's first driver gave for this name; by default, this one."""
        known = self._storage.get_study_user_attrs(self._study_id)
        if name not in known:
            self._storage.set_study_user_attr(self._study_id, name, value)
        return known.get(name, value)

    def is_over(self, candidates: int) -> bool:
        """Return whether that many candidates exist and all have their final states."""
        trials = self.trials()
        return len(trials) >= candidates and all(trial.state.is_finished() for trial in trials)

    def trial(self, number: int) -> FrozenTrial:
        return self._storage.get_trial(self._trial_id(number))

    def add(self, proposal: Proposal) -> Candidate:
        """Record a proposed architecture as the next candidate."""
        architecture = proposal.architecture
        trial_id = self._storage.create_new_trial(
            self._study_id,
            create_trial(
                state=TrialState.WAITING,
                params=dict(proposal.params),
                distributions=dict(proposal.distributions),
                user_attrs={
                    "architecture": architecture.to_json(),
                    "digest": architecture.digest(),
                },
            ),
        )
        number = self._storage.get_trial_number_from_id(trial_id)
        return Candidate(number, architecture, decisions=dict(proposal.params))

    def together(self) -> contextlib.AbstractContextManager[None]:
        """Record what happens inside with one write to the disk, at the end."""
        return together(self._storage)

    def start(self, number: int) -> None:
        """Record that the candidate's evaluation has started."""
        if self.trial(number).state == TrialState.WAITING:
            self._storage.set_trial_state_values(self._trial_id(number), TrialState.RUNNING)

    def result(self, trial: FrozenTrial) -> Candidate | None:
        """Return a candidate with its results; None while it has none."""
        path = self.trial_folder(trial.number) / "result.json"
        return read_result(path) if path.exists() else None

    def write(self, candidate: Candidate) -> None:
        """Save a candidate's result, replacing an earlier one with fewer rungs."""
        self._check_is_there()
        path = self.trial_folder(candidate.number) / "result.json"
        write_atomically(path, json.dumps(candidate.to_dict(), indent=1))

    def write_checkpoint(self, number: int, step: int, suffix: str, content: bytes) -> str:
        """Save a candidate's checkpoint; returns the file's path within the run's folder."""
        self._check_is_there()
        path = self.trial_folder(number) / f"step-{step}{suffix}"
        write_atomically(path, content)
        return str(path.relative_to(self.folder))

    def read_checkpoint(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    def show(self, candidate: Candidate) -> None:
        """Copy a candidate's numbers into the Optuna record as separate attributes."""
        trial_id = self._trial_id(candidate.number)
        shown = {
            "parameters": candidate.parameters,
            "flops": candidate.flops,
            "failed": candidate.failed,
            "duplicate_of": candidate.duplicate_of,
            **candidate.scores,
            **candidate.measures,
        }
        if candidate.rungs:
            last = candidate.rungs[-1]
            shown |= {"validation loss": last.loss, "validation metric": last.metric}
        known = self._storage.get_trial(trial_id).user_attrs
        for key, value in shown.items():
            if value is not None and known.get(key) != value:
                self._storage.set_trial_user_attr(trial_id, key, value)

    def finish(self, candidate: Candidate, values: Sequence[float] | None) -> None:
        """Set the final state of a candidate's trial, unless it is set.

        values: one per objective; None if the candidate was not judged.
        """
        trial_id = self._trial_id(candidate.number)
        if self._storage.get_trial(trial_id).state.is_finished():
            return
        self.show(candidate)  # a driver may have died before it did
        for rung in candidate.rungs:
            self._storage.set_trial_intermediate_value(trial_id, rung.step, rung.objective)
        judged = TrialState.COMPLETE if values is not None else TrialState.PRUNED
        state = TrialState.FAIL if candidate.failed else judged
        with ended_at(self._storage, candidate.ended):
            self._storage.set_trial_state_values(trial_id, state, values)

    def _check_is_there(self) -> None:
        """Raise `NasError` if somebody deleted the folder; writing would begin another one."""
        if not (self.folder / LOCK).exists():
            raise NasError(f"{self.folder} was deleted while nas was working on it")

    def trial_folder(self, number: int) -> Path:
        return self.folder / "trials" / f"{number:04d}"

    def _trial_id(self, number: int) -> int:
        return self._storage.get_trial_id_from_study_id_trial_number(self._study_id, number)
