"""A run's folder: its lock, Optuna's record of the candidates, and each result exactly once."""

import contextlib
import fcntl
import json
import os
import shutil
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage, JournalStorage, get_storage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState, create_trial

from nas.core.errors import BadInput, RunLocked
from nas.core.files import write_atomically
from nas.loop.candidate import Candidate
from nas.loop.controller import Proposal

JOURNAL = "study.journal"


class Run:
    """The record of one search.

    Two things are kept of a candidate: an Optuna trial, written when it is proposed, and
    `trials/NNNN/result.json`, written before anything else hears of a result. A candidate with a
    trial and no result was being evaluated when a driver died: it is evaluated again, under the
    same number and with the same seed.
    """

    def __init__(self, folder: Path, storage: BaseStorage, study_id: int) -> None:
        self.folder = folder
        self._storage = storage
        self._study_id = study_id

    @classmethod
    @contextlib.contextmanager
    def open(
        cls, folder: Path, identity: Mapping[str, Any], storage: str | None = None
    ) -> Iterator["Run"]:
        """Begin a run or go on with it; nobody else can until it is left.

        identity: what must stay the same for a run to go on: space, task, scores, seed …
        storage: an Optuna storage URL; None for a journal in the folder.
        Raises `RunLocked` while another driver has the run, `BadInput` when the identity differs
        or the storage cannot be opened. A `BadInput` raised while it is open removes a new folder.
        """
        is_new = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "driver.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RunLocked(
                    f"{folder} is in use by another `nas`: wait for it, or use another --run"
                ) from None
            try:
                yield cls._opened(folder, identity, storage)
            except BadInput:
                if is_new:
                    shutil.rmtree(folder)
                raise

    @classmethod
    def _opened(cls, folder: Path, identity: Mapping[str, Any], url: str | None) -> "Run":
        try:
            storage = get_storage(url) if url else _journal(folder / JOURNAL)
            study = optuna.create_study(
                storage=storage,
                study_name=folder.name,
                direction="minimize",
                load_if_exists=True,
            )
        except Exception as error:
            reason = str(error).splitlines()[0]
            where = url or folder / JOURNAL
            raise BadInput(f"the storage {where} cannot be opened: {reason}") from error
        kept = study.user_attrs.get("identity")
        if kept is None:
            study.set_user_attr("identity", dict(identity))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                study.set_metric_names(["validation loss"])
        elif kept != identity:
            raise BadInput(f"{folder} holds another search: {_difference(kept, identity)}")
        return cls(folder, storage, storage.get_study_id_from_name(folder.name))

    def trials(self) -> list[FrozenTrial]:
        """The Optuna trials of all candidates, by number."""
        return self._storage.get_all_trials(self._study_id, deepcopy=False)

    def is_over(self, candidates: int) -> bool:
        """Whether there are so many candidates and each has its final state."""
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
                state=TrialState.RUNNING,
                params=dict(proposal.params),
                distributions=dict(proposal.distributions),
                user_attrs={
                    "architecture": architecture.to_json(),
                    "digest": architecture.digest(),
                },
            ),
        )
        number = self._storage.get_trial_number_from_id(trial_id)
        return Candidate(number, architecture)

    def result(self, trial: FrozenTrial) -> Candidate | None:
        """What is known of a candidate, None while it has no result."""
        path = self.trial_folder(trial.number) / "result.json"
        return Candidate.from_dict(json.loads(path.read_text())) if path.exists() else None

    def write(self, candidate: Candidate) -> None:
        """Keep a candidate's result, which may be one more rung of an earlier one."""
        path = self.trial_folder(candidate.number) / "result.json"
        write_atomically(path, json.dumps(candidate.to_dict(), indent=1))

    def write_checkpoint(self, number: int, step: int, content: bytes) -> str:
        """Keep a candidate's weights; returns the file's path within the run's folder."""
        path = self.trial_folder(number) / f"step-{step}.safetensors"
        write_atomically(path, content)
        return str(path.relative_to(self.folder))

    def read_checkpoint(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    def show(self, candidate: Candidate) -> None:
        """Put a candidate's result into the Optuna record, for dashboards."""
        trial_id = self._trial_id(candidate.number)
        shown = {
            "scores": candidate.scores,
            "parameters": candidate.parameters,
            "flops": candidate.flops,
            "failed": candidate.failed,
            "duplicate_of": candidate.duplicate_of,
        }
        for key, value in shown.items():
            if value:
                self._storage.set_trial_user_attr(trial_id, key, value)

    def finish(self, candidate: Candidate, last_step: int) -> None:
        """Give a candidate's trial its final state, if it has none yet."""
        trial_id = self._trial_id(candidate.number)
        if self._storage.get_trial(trial_id).state.is_finished():
            return
        for rung in candidate.rungs:
            self._storage.set_trial_intermediate_value(trial_id, rung.step, rung.loss)
        if candidate.failed:
            self._storage.set_trial_state_values(trial_id, TrialState.FAIL)
        elif candidate.rungs and candidate.rungs[-1].step >= last_step:
            values = [candidate.rungs[-1].loss]
            self._storage.set_trial_state_values(trial_id, TrialState.COMPLETE, values)
        else:
            self._storage.set_trial_state_values(trial_id, TrialState.PRUNED)

    def trial_folder(self, number: int) -> Path:
        return self.folder / "trials" / f"{number:04d}"

    def _trial_id(self, number: int) -> int:
        return self._storage.get_trial_id_from_study_id_trial_number(self._study_id, number)


def repair_journal(path: Path) -> int:
    """Cut off a last line that a dying driver left unfinished; returns the bytes cut.

    Optuna appends to such a line, and the study can then never be read again.
    """
    with path.open("rb+") as file:
        content = file.read()
        whole = content.rfind(b"\n") + 1
        file.truncate(whole)
    return len(content) - whole


def _journal(path: Path) -> JournalStorage:
    if path.exists():
        repair_journal(path)
    lock = JournalFileOpenLock(str(path))
    # The run is ours alone: a lock on its journal was left by a driver that died.
    with contextlib.suppress(FileNotFoundError):
        os.remove(f"{path}.lock")
    return JournalStorage(JournalFileBackend(str(path), lock_obj=lock))


def _difference(kept: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """The settings in which a run differs from what is asked for now."""
    changed = [
        f"{name} was {json.dumps(kept.get(name))} and is {json.dumps(wanted.get(name))} now"
        for name in sorted({*kept, *wanted})
        if kept.get(name) != wanted.get(name)
    ]
    return "; ".join(changed) + ": name another folder with --run, or restore the setting"
